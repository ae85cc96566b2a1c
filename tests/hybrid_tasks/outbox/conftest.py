"""The outbox on each database that it promises to work on: SQLite, PostgreSQL and MariaDB."""

from collections.abc import Iterator
from typing import Any

import pytest
from pytest_django import DjangoDbBlocker, Settings

from hybrid_tasks.outbox import writer as writer_room
from hybrid_tasks.outbox.writer import OutboxWriter, writer
from hybrid_tasks.runtime import Runtime
from hybrid_tasks.signals import task_dead
from tests.hybrid_tasks.databases import add_server, add_sqlite, routed_to
from tests.hybrid_tasks.outbox.durable_tasks import gates, runs
from tests.hybrid_tasks.outbox.on_loop import use
from tests.hybrid_tasks.outbox.writers import Gate, Work
from tests.hybrid_tasks.runtimes import HandClock, own_runtime
from tests.mariadb import MariaDB
from tests.postgres import Postgres


@pytest.fixture(scope="session")
def sqlite_alias(
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
    tmp_path_factory: pytest.TempPathFactory,
) -> str:
    """A file with the project's own settings."""
    with django_db_blocker.unblock():
        return add_sqlite("outbox_sqlite", tmp_path_factory.mktemp("outbox") / "outbox.sqlite3")


@pytest.fixture(scope="session")
def postgres_alias(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, postgres: Postgres
) -> str:
    with django_db_blocker.unblock():
        return add_server("outbox_postgres", postgres)


@pytest.fixture(scope="session")
def mariadb_alias(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, mariadb: MariaDB
) -> str:
    with django_db_blocker.unblock():
        return add_server("outbox_mariadb", mariadb)


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def database(
    request: pytest.FixtureRequest, settings: Settings, django_db_blocker: DjangoDbBlocker
) -> Iterator[str]:
    """The alias of a database that holds an outbox without rows: each in turn."""
    alias: str = request.getfixturevalue(f"{request.param}_alias")
    with django_db_blocker.unblock(), routed_to(alias, settings):
        yield alias


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    """Before each transaction of a writer."""
    gate = Gate()
    monkeypatch.setattr(writer_room, "perform", gate.perform)
    return gate


@pytest.fixture
def a_writer(database: str, gate: Gate) -> Iterator[OutboxWriter]:
    """The writer of a process that has just begun."""
    yield writer()
    gate.open()


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def by_hand(database: str, gate: Gate, clock: HandClock) -> Iterator[OutboxWriter]:
    """A writer without a thread: it writes when somebody waits for it, and when it is told to."""
    with own_runtime(Runtime(threads=False, clock=clock)) as runtime:
        yield runtime.part(OutboxWriter)


@pytest.fixture
def work(by_hand: OutboxWriter) -> Work:
    """What owns rows in the process of the writer that is stepped by hand."""
    return Work(by_hand.runtime)


@pytest.fixture
def fresh_loop(settings: Settings) -> None:
    """No gate is open, nothing has run, and the loop is the only backend."""
    runs.clear()
    gates.clear()
    use(settings)


@pytest.fixture
def dead() -> Iterator[list[dict[str, Any]]]:
    """What the signal `task_dead` told."""
    heard: list[dict[str, Any]] = []

    def hear(**told: Any) -> None:
        heard.append(told)

    task_dead.connect(hear)
    yield heard
    task_dead.disconnect(hear)
