"""Databases of their own for the outbox, beside those that pytest-django makes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol

import dj_database_url
from django.core.management import call_command
from django.db import connections
from django.db.models import Model
from pytest_django import Settings

from hybrid_tasks.outbox import table
from tests.hybrid_tasks.runtimes import own_runtime
from tests.processes import Process


class OutboxRouter:
    """Sends the outbox, and nothing else, to one database."""

    def __init__(self, alias: str) -> None:
        self.alias = alias

    def db_for_write(self, model: type[Model], **_hints: object) -> str | None:
        return self.alias if model._meta.app_label == "hybrid_tasks" else None

    db_for_read = db_for_write


def add_database(alias: str, **settings: Any) -> str:
    """Make a database known to Django and bring the outbox's table into it; return `alias`."""
    configured = connections.configure_settings({"default": {}, alias: settings})
    connections.settings[alias] = configured[alias]
    call_command("migrate", "hybrid_tasks", database=alias, verbosity=0)
    return alias


def add_sqlite(alias: str, file: Path) -> str:
    """Add a file with the project's own settings; see add_database()."""
    return add_database(alias, **{**connections.settings["default"], "NAME": file})


class Server(Protocol):
    """A database server of the tests' own: see tests.postgres and tests.mariadb."""

    url: str
    process: Process

    def start(self) -> None: ...

    def stop(self, how: Literal["fast", "crash"] = "fast") -> None: ...

    def restart(self, how: Literal["fast", "crash"] = "fast") -> None: ...


def add_server(alias: str, server: Server) -> str:
    """Add the database of a server, with no settings but its address; see add_database()."""
    return add_database(alias, **dj_database_url.parse(server.url))


@contextmanager
def routed_to(alias: str, settings: Settings) -> Iterator[None]:
    """Let the outbox live in one database, for a process that begins anew.

    No row, no thread and no connection is left behind.
    """
    settings.DATABASE_ROUTERS = [OutboxRouter(alias)]
    table.rows().delete()
    try:
        # What its threads still write must not meet the next test.
        with own_runtime():
            yield
    finally:
        table.rows().delete()
        connections.close_all()
