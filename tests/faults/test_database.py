"""A database that is locked or restarted."""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing

import pytest

from tests.faults.conftest import Report
from tests.faults.databases import Maria, PostgreSQL, SQLite
from tests.faults.system import LEASE, FaultSystem, Load, accept

OUTBOX_TIMEOUT = 2.0
SLACK = 7.0  # seconds, for a noisy machine
LOCKED_SECONDS = 10.0


def assert_told_in_time(system: FaultSystem, load: Load) -> None:
    """Fail unless callers were refused, each about as soon as `outbox_timeout` says."""
    assert any(answer.refused for answer in load.answers)
    assert OUTBOX_TIMEOUT < max(answer.slowest for answer in load.answers) < OUTBOX_TIMEOUT + SLACK


def break_under_load(
    system: FaultSystem, break_it: Callable[[], None], mend: Callable[[], None]
) -> float:
    """Break the database while requests come in, until callers are told; return when it is back."""
    # Who cannot renew for longer than a lease loses what it holds, on a machine that hangs, too.
    system.env |= {"LEASE": str(LEASE * 2)}
    web, _ = system.up(outbox_timeout=OUTBOX_TIMEOUT)
    with Load(lambda: web, n=20, threads=2, pause=0.1, seconds=0.5) as load:
        system.ledger.wait_for("accept", 300)
        break_it()
        try:
            system.ledger.wait_for("refuse", 40)
        finally:
            mend()
        returned = time.monotonic()
        accepted = system.ledger.count("accept")
        system.ledger.wait_for("accept", accepted + 300)
    assert_told_in_time(system, load)
    return returned


def test_postgresql_is_restarted(on_postgres: FaultSystem, report: Report) -> None:
    assert isinstance(on_postgres.database, PostgreSQL)
    server = on_postgres.database.server
    returned = break_under_load(on_postgres, lambda: server.stop("immediate"), server.start)
    report("database restarted", on_postgres, returned)


def test_mariadb_is_killed(on_mariadb: FaultSystem, report: Report) -> None:
    assert isinstance(on_mariadb.database, Maria)
    server = on_mariadb.database.server
    returned = break_under_load(on_mariadb, lambda: server.stop("crash"), server.start)
    report("database killed, started again", on_mariadb, returned)


def test_mariadb_hangs(on_mariadb: FaultSystem, report: Report) -> None:
    """It is stopped as a process: connections stay open, and nobody is answered."""
    assert isinstance(on_mariadb.database, Maria)
    server = on_mariadb.database.server
    returned = break_under_load(on_mariadb, server.hang, server.go_on)
    report("database hangs, goes on", on_mariadb, returned)


@pytest.mark.slow_fault
def test_sqlite_is_locked(on_sqlite: FaultSystem, report: Report) -> None:
    assert isinstance(on_sqlite.database, SQLite)
    # The lock must be shorter, too.
    on_sqlite.env |= {"LEASE": str(LOCKED_SECONDS * 2)}
    web, _ = on_sqlite.up(outbox_timeout=OUTBOX_TIMEOUT)
    accept(web, 50, seconds=LOCKED_SECONDS * 1.5)  # these run all the while
    with Load(lambda: web, n=20, threads=2, pause=0.1, seconds=0.5) as load:
        on_sqlite.ledger.wait_for("accept", 300)
        with closing(sqlite3.connect(on_sqlite.database.path, timeout=30)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            time.sleep(LOCKED_SECONDS)
        returned = time.monotonic()
        accepted = on_sqlite.ledger.count("accept")
        on_sqlite.ledger.wait_for("accept", accepted + 300)
    assert_told_in_time(on_sqlite, load)
    report("database locked for 10 s", on_sqlite, returned, LOCKED_SECONDS * 2)
