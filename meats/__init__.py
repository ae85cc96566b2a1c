"""The smokehouse's web side: async views whose side effects run on the event loop."""
