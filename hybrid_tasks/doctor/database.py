"""Asks the outbox's database: its clock, its tables, and what waits in it."""

import time
from collections.abc import Iterator
from typing import Any

from django.db import connections
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Count, Min

from hybrid_tasks.doctor.lines import Line, bad, doubtful, well
from hybrid_tasks.doctor.words import ago, ahead, command, counted, milliseconds
from hybrid_tasks.models import OutboxTask
from hybrid_tasks.outbox import table

# How each database tells the seconds since the epoch, with parts of them.
CLOCKS = {
    "postgresql": "SELECT EXTRACT(EPOCH FROM CLOCK_TIMESTAMP())",
    "sqlite": "SELECT (JULIANDAY('now') - 2440587.5) * 86400.0",
    "mysql": "SELECT UNIX_TIMESTAMP(SYSDATE(6))",
}
DEAD = OutboxTask.Standing.DEAD
OFF_SECONDS = 2.0  # by which clocks may differ: what is due is then a bit early or late
LATE_SECONDS = 60.0  # for which no due row should have to wait


def look_at_database() -> Iterator[Line]:
    """Yield whether the database answers, and how far its clock is from ours."""
    alias = table.alias()
    part = f"database {alias!r}"
    connection = connections[alias]
    connection.ensure_connection()
    before = time.time()
    there = read_clock(alias)
    took = time.time() - before
    told = f"{connection.display_name} answers in {milliseconds(took)}"
    if there is None:
        yield well(part, told)
        return
    off = there - (before + took / 2)
    if abs(off) <= OFF_SECONDS + took / 2:
        yield well(part, f"{told}, its clock is ours")
    else:
        yield doubtful(
            part,
            f"{told}; its clock is {ahead(off)} ours: run_after and retries are that much off",
            "Set the clocks of both machines by NTP.",
        )


def read_clock(alias: str) -> float | None:
    """Return the seconds since the epoch by a database's clock; None if it is not known how."""
    statement = CLOCKS.get(connections[alias].vendor)
    if statement is None:
        return None
    with connections[alias].cursor() as cursor:
        cursor.execute(statement)
        return float(cursor.fetchone()[0])


def look_at_migrations() -> Iterator[Line]:
    """Yield whether the outbox's tables are those of this code."""
    alias = table.alias()
    executor = MigrationExecutor(connections[alias])
    targets = [node for node in executor.loader.graph.leaf_nodes() if node[0] == "hybrid_tasks"]
    missing = [
        migration.name
        for migration, _ in executor.migration_plan(targets)
        if migration.app_label == "hybrid_tasks"
    ]
    if not missing:
        yield well("migrations", "all of hybrid_tasks are applied")
        return
    other = "" if alias == "default" else f" --database {alias}"
    yield bad(
        "migrations",
        f"not applied in database {alias!r}: {', '.join(missing)}",
        f"Run: {command(f'manage.py migrate hybrid_tasks{other}')}",
    )


def look_at_outbox() -> Iterator[Line]:
    """Yield how much waits in the outbox, and whether it waits for too long."""
    rows: Any = table.rows().with_standing()  # whose annotation mypy does not see
    found: dict[str, int] = dict(rows.order_by().values_list("_standing").annotate(Count("pk")))
    told = ", ".join(
        counted(found[one], one.label.lower(), f"{one.label.lower()}{'s' * (one == DEAD)}")
        for one in OutboxTask.Standing
        if one in found
    )
    told = told or "empty"
    waited = seconds_due()
    if waited > LATE_SECONDS:
        yield bad(
            "outbox",
            f"{told}; the oldest that is due has waited for {ago(waited)}",
            "See what is said of the relay, the broker and the web processes.",
        )
    elif dead := found.get(DEAD):
        yield doubtful(
            "outbox",
            told,
            f"Look at the {counted(dead, 'dead letter')} in the admin (Outbox tasks): retry or"
            " discard.",
        )
    else:
        yield well("outbox", told)


def seconds_due() -> float:
    """Return for how long the oldest row has been due; 0 if none is."""
    oldest = table.rows().due().aggregate(Min("available_at"))["available_at__min"]
    if oldest is None:
        return 0.0
    now = read_clock(table.alias())
    waited: float = (time.time() if now is None else now) - oldest.timestamp()
    return max(0.0, waited)
