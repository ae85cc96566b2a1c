"""The database's clock: the only one that all processes share."""

from typing import Any

from django.db.models import functions


class Now(functions.Now):
    """The time of the statement, as Django's own `Now` but for MySQL and MariaDB.

    There CURRENT_TIMESTAMP is a time of the server's zone, whereas Django writes and reads UTC. And
    a zone with daylight saving would end all leases early in spring, and an hour late in autumn.
    """

    def as_mysql(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, Any]:
        """See Func."""
        return self.as_sql(compiler, connection, template="UTC_TIMESTAMP(6)", **context)
