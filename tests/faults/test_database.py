"""A database that is locked or restarted."""

import sqlite3
import time
from contextlib import closing

import pytest

from tests.faults.conftest import Report
from tests.faults.databases import PostgreSQL, SQLite
from tests.faults.system import LEASE, FaultSystem, Load, accept

OUTBOX_TIMEOUT = 2.0
SLACK = 7.0  # seconds, for a noisy machine
LOCKED_SECONDS = 10.0


def assert_told_in_time(system: FaultSystem, load: Load) -> None:
    """Fail unless callers were refused, each about as soon as `outbox_timeout` says."""
    assert any(answer.refused for answer in load.answers)
    assert OUTBOX_TIMEOUT < max(answer.slowest for answer in load.answers) < OUTBOX_TIMEOUT + SLACK


def test_postgresql_is_restarted(on_postgres: FaultSystem, report: Report) -> None:
    assert isinstance(on_postgres.database, PostgreSQL)
    server = on_postgres.database.server
    # Who cannot renew for longer than a lease loses what it holds, on a machine that hangs, too.
    on_postgres.env |= {"LEASE": str(LEASE * 2)}
    web, _ = on_postgres.up(outbox_timeout=OUTBOX_TIMEOUT)
    with Load(lambda: web, n=20, threads=2, pause=0.1, seconds=0.5) as load:
        on_postgres.ledger.wait_for("accept", 300)
        server.stop("immediate")
        on_postgres.ledger.wait_for("refuse", 40)
        server.start()
        returned = time.monotonic()
        accepted = on_postgres.ledger.count("accept")
        on_postgres.ledger.wait_for("accept", accepted + 300)
    assert_told_in_time(on_postgres, load)
    report("database restarted", on_postgres, returned)


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
