"""The PostgreSQL server of DATABASE=postgres."""
