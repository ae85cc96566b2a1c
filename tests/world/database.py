"""The database of the world: a real one, whose clock is the world's and which can be away.

All simulated processes share one connection: a thread stops only between statements, and never
inside of a transaction, so what others see is what they would see of a database that serialises.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from django.db import OperationalError, connections
from django.db.backends.postgresql.base import DatabaseWrapper as Postgres
from django.db.backends.sqlite3.base import DatabaseWrapper as SQLite

from hybrid_tasks.models import OutboxTask
from tests.world import stage
from tests.world.threads import point

BEGINNING = datetime(2030, 1, 1, tzinfo=UTC)
TABLE = OutboxTask._meta.db_table
CREATE_CLOCK = """
CREATE SCHEMA IF NOT EXISTS world;
CREATE OR REPLACE FUNCTION world.statement_timestamp() RETURNS timestamptz LANGUAGE sql STABLE AS
    $$ SELECT current_setting('world.now')::timestamptz $$
"""


class Watched:
    """What both databases have in common: points, faults, and commits whose answer is lost."""

    def watch(self: Any) -> None:
        self.execute_wrappers.append(self._guard)

    def _guard(self: Any, execute: Any, sql: Any, params: Any, many: Any, context: Any) -> Any:
        if not self.in_atomic_block:
            point(described(sql))
        process = stage.process()
        if process is not None:
            try:
                process.world.faults.before_statement(process)
            except OperationalError:
                process.cuts += 1
                raise
        self._tell_time()
        return execute(sql, params, many, context)

    def _tell_time(self) -> None:
        """Let the database know the world's time."""

    def _commit(self: Any) -> None:
        super()._commit()  # type: ignore[misc]
        process = stage.process()
        if process is not None:
            process.world.faults.after_commit(process)

    def set_autocommit(self: Any, autocommit: bool, *args: Any, **kwargs: Any) -> None:
        super().set_autocommit(autocommit, *args, **kwargs)  # type: ignore[misc]
        if autocommit:
            point("after its commit")

    def run_and_clear_commit_hooks(self: Any) -> None:
        if self.run_on_commit:
            mine, self.run_on_commit = self.run_on_commit, []  # not for others to call
            point("before its commit hooks")
            self.run_on_commit = mine
        super().run_and_clear_commit_hooks()  # type: ignore[misc]


class WorldSQLite(Watched, SQLite):  # type: ignore[misc]
    """In memory; its STRFTIME gives the world's time."""

    def get_new_connection(self, conn_params: Any) -> Any:
        connection = super().get_new_connection(conn_params)
        connection.create_function("STRFTIME", -1, strftime)
        return connection


class WorldPostgres(Watched, Postgres):  # type: ignore[misc]
    """A server's; its STATEMENT_TIMESTAMP gives the world's time."""

    _told: datetime | None = None

    def init_connection_state(self) -> None:
        super().init_connection_state()
        self._told = None
        with self.connection.cursor() as cursor:
            cursor.execute(CREATE_CLOCK)
            cursor.execute("SET search_path TO world, pg_catalog")

    def _tell_time(self) -> None:
        moment = stage.world().moment
        if moment != self._told and self.connection is not None:
            self._told = moment
            with self.connection.cursor() as cursor:
                cursor.execute("SELECT set_config('world.now', %s, false)", [moment.isoformat()])

    def close(self) -> None:
        """Stay open: the threads of all processes share it."""


def strftime(_form: str, _now: str, modifier: str = "+0 seconds") -> str:
    """Return what SQLite's function would say if it was now in the world."""
    number, unit = modifier.split()
    if unit != "seconds":
        raise ValueError(f"The world's clock does not know {modifier!r}.")
    return written(stage.world().moment + timedelta(seconds=float(number)))


def written(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03}"


@cache
def described(sql: str) -> str:
    """Return a statement in a few words."""
    words = sql.split()
    kind = words[0].upper()
    return {"SELECT": "it reads rows", "INSERT": "it inserts rows", "BEGIN": "it begins"}.get(
        kind, "it changes rows" if kind in ("UPDATE", "DELETE") else kind
    )


def read_rows() -> list[dict[str, Any]]:
    """Return all rows as they are, beside all faults and points."""
    cursor = _raw().execute(f"SELECT * FROM {TABLE}")  # noqa: S608
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def seconds(value: Any) -> float:
    """Return a time in a row as the world's time."""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return (moment.replace(tzinfo=UTC) - BEGINNING).total_seconds()


def clear_rows() -> None:
    """Remove all rows, beside all faults and points."""
    stage.connection().ensure_connection()
    _raw().execute(f"DELETE FROM {TABLE}")  # noqa: S608


def _raw() -> Any:
    """Return the driver's connection; on a loop Django would give another."""
    return stage.connection().connection


@contextmanager
def replaced(wrapper: type, **changes: Any) -> Any:
    """Let a database of the world be the default one, with an empty outbox."""
    before = connections["default"]
    settings = before.settings_dict | {"TEST": before.settings_dict["TEST"]} | changes
    connections["default"] = mine = wrapper(settings, "default")
    try:
        with mine.schema_editor() as editor:
            editor.create_model(OutboxTask)
        mine.watch()
        stage.share(mine)
        yield
    finally:
        stage.share(None)
        mine.execute_wrappers.clear()
        really_close(mine)
        connections["default"] = before


def really_close(connection: Any) -> None:
    with connection.schema_editor() as editor:
        editor.delete_model(OutboxTask)
    if connection.connection is not None:
        connection.connection.close()
        connection.connection = None


def sqlite() -> Any:
    """Let a SQLite database in memory be the default one."""
    return replaced(WorldSQLite, ENGINE="django.db.backends.sqlite3", NAME=":memory:", OPTIONS={})


@contextmanager
def postgres(url: str, name: str) -> Iterator[None]:
    """Let a new database of that name, on a PostgreSQL server, be the default one."""
    import dj_database_url
    import psycopg

    with psycopg.connect(url.replace("postgres://", "postgresql://"), autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]
    settings = {**dj_database_url.parse(url), "NAME": name, "OPTIONS": {}}
    with replaced(WorldPostgres, **settings):
        yield
