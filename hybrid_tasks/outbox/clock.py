"""Times by the database's clock, from now."""

from datetime import timedelta
from typing import Any

from django.db import NotSupportedError
from django.db.models import Value

from hybrid_tasks.databases.clock import Now

SUPPORTED = ("mysql", "postgresql", "sqlite")  # MariaDB is "mysql" to Django


class After(Now):
    """The time that many seconds from now, on MySQL, MariaDB, PostgreSQL and SQLite."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def as_postgresql(self, compiler: Any, connection: Any, **_context: Any) -> tuple[str, Any]:
        """See Func."""
        moment = Now() + Value(timedelta(seconds=self.seconds))
        sql, params = compiler.compile(moment.resolve_expression(compiler.query))
        return sql, params

    def as_mysql(self, compiler: Any, connection: Any, **_context: Any) -> tuple[str, Any]:
        """See Func."""
        return f"(UTC_TIMESTAMP(6) + INTERVAL {round(self.seconds * 1e6)} MICROSECOND)", ()

    def as_sqlite(self, compiler: Any, connection: Any, **_context: Any) -> tuple[str, Any]:
        """Let SQLite add; Django would have it call Python for each row."""
        return f"STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'NOW', '{self.seconds:+.3f} seconds')", ()

    def as_sql(self, compiler: Any, connection: Any, *_args: Any, **_context: Any) -> Any:
        """Refuse: a lease that ends at once would have each task run many times."""
        raise NotSupportedError(
            f"The outbox knows the clocks of {', '.join(SUPPORTED)}, not of {connection.vendor}."
        )
