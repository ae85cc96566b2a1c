"""Fixtures of the fault suite, and the table that it prints at its end."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from tests.faults.counting import Counts, table
from tests.faults.databases import Maria, PostgreSQL, SQLite
from tests.faults.system import RESCUE_SECONDS, FaultSystem
from tests.loop.system import migrate, migrated_file
from tests.mariadb import MariaDB, running_mariadb
from tests.postgres import Postgres, running_postgres

COUNTS = pytest.StashKey[list[Counts]]()


class Report(Protocol):
    """Waits until all work is done, then checks and counts it for the table."""

    def __call__(
        self, fault: str, system: FaultSystem, since: float, aim: float = RESCUE_SECONDS
    ) -> Counts:
        """Fail if it takes much longer than `aim` seconds after `since` or breaks a promise."""


def pytest_configure(config: pytest.Config) -> None:
    config.stash[COUNTS] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    counts = terminalreporter.config.stash[COUNTS]
    if counts:
        terminalreporter.section("durable tasks under faults")
        for line in table(counts):
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with all tables, to be copied."""
    return migrated_file(FaultSystem.settings, tmp_path_factory.mktemp("faults"))


@pytest.fixture(scope="session")
def breakable_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A PostgreSQL server with a migrated database to copy, which tests may restart."""
    directory = tmp_path_factory.mktemp("postgres")
    with running_postgres(directory) as server:
        url = server.new_database(PostgreSQL.template)
        migrate(FaultSystem.settings, url, directory / "migrate.log")
        yield server


@pytest.fixture
def rabbitmq() -> str:
    """The kind of queues in RabbitMQ; "" for Valkey, the broker where a test says nothing else."""
    return ""


@pytest.fixture
def on_sqlite(tmp_path: Path, sqlite_template: Path, rabbitmq: str) -> Iterator[FaultSystem]:
    """A system whose outbox is in SQLite."""
    with ExitStack() as processes:
        yield FaultSystem(tmp_path, processes, SQLite(sqlite_template, tmp_path), rabbitmq)


@pytest.fixture
def on_postgres(
    tmp_path: Path, breakable_postgres: Postgres, rabbitmq: str
) -> Iterator[FaultSystem]:
    """A system whose outbox is in PostgreSQL."""
    with ExitStack() as processes:
        yield FaultSystem(tmp_path, processes, PostgreSQL(breakable_postgres), rabbitmq)


@pytest.fixture(scope="session")
def breakable_mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDB]:
    """A MariaDB server that tests may restart and hold up."""
    with running_mariadb(tmp_path_factory.mktemp("mariadb")) as server:
        yield server


@pytest.fixture
def on_mariadb(tmp_path: Path, breakable_mariadb: MariaDB) -> Iterator[FaultSystem]:
    """A system whose outbox is in MariaDB."""
    database = Maria(breakable_mariadb)
    migrate(FaultSystem.settings, database.url, tmp_path / "migrate.log")
    with ExitStack() as processes:
        yield FaultSystem(tmp_path, processes, database)


@pytest.fixture
def on_either(request: pytest.FixtureRequest) -> FaultSystem:
    """One of these, as the test is parametrised."""
    system: FaultSystem = request.getfixturevalue(request.param)
    return system


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Report:
    """What each scenario calls at its end."""

    def add(fault: str, system: FaultSystem, since: float, aim: float = RESCUE_SECONDS) -> Counts:
        seconds = system.wait_settled(since, aim)
        counts = system.counts(fault, seconds, aim)
        request.config.stash[COUNTS].append(counts)
        system.verify()
        return counts

    return add
