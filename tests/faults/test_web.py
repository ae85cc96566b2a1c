"""Web processes that are killed, or stopped too quickly to end their work."""

import signal
import time

import pytest

from tests.faults.conftest import Report
from tests.faults.system import FaultSystem, Load, accept
from tests.processes import wait_until

KINDS = "again,once"


def kill_under_load(system: FaultSystem) -> float:
    """Kill a web process while requests come in; return when it was killed."""
    web, _ = system.up(max_running=50)

    def busy() -> bool:
        rows = len(system.rows())
        ended, started, accepted = map(system.ledger.count, ("end", "start", "accept"))
        # Nothing hangs just now: the rows of all but the last of those that have ended are gone.
        removed = rows <= accepted - ended + 50
        return (
            removed and accepted >= 550 and 50 <= ended <= started - 25 and started <= accepted - 50
        )

    with Load(lambda: web, n=50, pause=0.5, seconds=0.5, tasks=KINDS):
        wait_until(busy, "many tasks wait, run and have ended")
        system.kill(web.process)
        return time.monotonic()


def test_a_killed_web_process_is_not_needed_any_more(
    on_postgres: FaultSystem, report: Report
) -> None:
    killed = kill_under_load(on_postgres)
    report("web killed, relay and worker left", on_postgres, killed)


@pytest.mark.slow_fault
def test_a_killed_web_process_is_started_again(on_sqlite: FaultSystem, report: Report) -> None:
    killed = kill_under_load(on_sqlite)
    accept(on_sqlite.web(), 50, tasks=KINDS)
    report("web killed, started again", on_sqlite, killed)


@pytest.mark.slow_fault
def test_a_web_process_is_stopped_at_once_while_the_broker_is_away(
    on_postgres: FaultSystem, report: Report
) -> None:
    web = on_postgres.web(drain_timeout=0.5, max_running=40)
    answer = accept(web, 500, seconds=60)
    on_postgres.ledger.wait_for("start", 40)
    on_postgres.kill(on_postgres.broker)
    assert web.process.stop() == -signal.SIGTERM
    assert {row.id for row in on_postgres.rows()} == set(answer.ids)
    assert on_postgres.ledger.count("cut") == 40

    on_postgres.start_broker()
    on_postgres.rescue()
    returned = time.monotonic()
    counts = report("SIGTERM without time or broker", on_postgres, returned, aim=20)
    # Of those that ran each second one may run only once.
    assert (counts.repeated, counts.dead) == (20, 20)
