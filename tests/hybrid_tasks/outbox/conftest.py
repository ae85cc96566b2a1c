"""The outbox on each database that it promises to work on: SQLite in a file, and PostgreSQL."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import dj_database_url
import pytest
from django.core.management import call_command
from django.db import connections
from django.db.models import Model
from pytest_django import DjangoDbBlocker, Settings

from hybrid_tasks import outbox, outbox_writer
from hybrid_tasks.outbox_writer import OutboxWriter, writer
from hybrid_tasks.outbox_writes import Kind, Write
from hybrid_tasks.publisher import publisher
from hybrid_tasks.recorder import recorder
from tests.hybrid_tasks.outbox.writers import Gate, MortalWriter
from tests.postgres import Postgres
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


@pytest.fixture(scope="session")
def sqlite_alias(
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
    tmp_path_factory: pytest.TempPathFactory,
) -> str:
    """A file with the project's own settings."""
    given = {**connections.settings["default"]}
    given["NAME"] = tmp_path_factory.mktemp("outbox") / "outbox.sqlite3"
    with django_db_blocker.unblock():
        return add_database("outbox_sqlite", **given)


@pytest.fixture(scope="session")
def postgres_alias(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, postgres: Postgres
) -> str:
    with django_db_blocker.unblock():
        return add_database("outbox_postgres", **dj_database_url.parse(postgres.url))


@pytest.fixture(params=["sqlite", "postgres"])
def database(
    request: pytest.FixtureRequest, settings: Settings, django_db_blocker: DjangoDbBlocker
) -> Iterator[str]:
    """The alias of a database that holds an outbox without rows: each in turn."""
    alias: str = request.getfixturevalue(f"{request.param}_alias")
    with django_db_blocker.unblock(), routed_to(alias, settings):
        yield alias


@contextmanager
def routed_to(alias: str, settings: Settings) -> Iterator[None]:
    """Let the outbox live in one database; leave no row and no connection behind."""
    settings.DATABASE_ROUTERS = [OutboxRouter(alias)]
    outbox.rows().delete()
    try:
        yield
    finally:
        # What the background threads still write must not meet the next test.
        assert publisher.flush(PATIENCE)
        assert writer.flush(PATIENCE)
        assert recorder.flush(PATIENCE)
        in_thread_of(writer, connections.close_all)
        outbox.rows().delete()
        connections.close_all()


def in_thread_of(one: OutboxWriter, function: Callable[[], object]) -> None:
    """Call `function` in a writer's thread and wait for it."""
    future: Future[Any] = Future()
    called: Future[None] = Future()

    def call(_: Future[Any]) -> None:
        function()
        called.set_result(None)

    future.add_done_callback(call)
    one._request(Write(Kind.RELEASE, "no task's id", future=future))
    called.result(PATIENCE)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    """Before each transaction of a writer."""
    gate = Gate()
    monkeypatch.setattr(outbox_writer, "perform", gate.perform)
    return gate


@pytest.fixture
def a_writer(database: str, gate: Gate) -> Iterator[MortalWriter]:
    """A writer of its own."""
    one = MortalWriter()
    try:
        yield one
    finally:
        gate.open()
        one.end()
