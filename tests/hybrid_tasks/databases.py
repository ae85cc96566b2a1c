"""Databases of their own for the outbox, beside those that pytest-django makes."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.db import connections
from django.db.models import Model
from pytest_django import Settings

from hybrid_tasks.celery.publisher import publisher
from hybrid_tasks.outbox import table
from hybrid_tasks.outbox.writer import OutboxWriter, writer
from hybrid_tasks.outbox.writes import Kind, Write
from hybrid_tasks.results.recorder import recorder
from tests.processes import PATIENCE


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


@contextmanager
def routed_to(alias: str, settings: Settings) -> Iterator[None]:
    """Let the outbox live in one database; leave no row and no connection behind."""
    settings.DATABASE_ROUTERS = [OutboxRouter(alias)]
    table.rows().delete()
    try:
        yield
    finally:
        # What the background threads still write must not meet the next test.
        assert publisher.flush(PATIENCE)
        assert writer.flush(PATIENCE)
        assert recorder.flush(PATIENCE)
        in_thread_of(writer, connections.close_all)
        table.rows().delete()
        connections.close_all()


def in_thread_of(one: OutboxWriter, function: Callable[[], object]) -> None:
    """Call `function` in a writer's thread and wait for it."""
    future: Future[Any] = Future()
    called: Future[None] = Future()

    def call(_: Future[Any]) -> None:
        function()
        called.set_result(None)

    future.add_done_callback(call)
    one.request(Write(Kind.RELEASE, "no task's id", future=future))
    called.result(PATIENCE)
