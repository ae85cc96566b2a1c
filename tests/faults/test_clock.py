"""A process whose clock is an hour wrong."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.faults.conftest import Report
from tests.faults.system import LEASE, FaultSystem, accept
from tests.processes import wait_until

either = pytest.mark.parametrize(
    ("on_either", "hours"),
    [("on_postgres", 1), ("on_sqlite", -1), ("on_mariadb", 1)],
    indirect=["on_either"],
)


@pytest.mark.slow_fault
@either
def test_leases_end_by_the_clock_of_the_database(
    on_either: FaultSystem, hours: int, report: Report
) -> None:
    wrong = {"CLOCK_HOURS": str(hours)}
    on_either.rescue()
    on_either.env |= wrong
    with ThreadPoolExecutor() as pool:
        started = pool.submit(on_either.relay)
        web = on_either.web(max_running=250)
        started.result()
    accept(web, 500, seconds=LEASE * 1.2)
    on_either.ledger.wait_for("end", 500)
    # Nothing was taken from a process that lived, though it ran it for longer than a lease.
    assert on_either.ledger.count("start") == 500
    wait_until(lambda: on_either.rows() == [], "their rows are gone")
    accept(web, 50, tasks="again", seconds=60)
    on_either.ledger.wait_for("start", 550)
    on_either.kill(web.process)
    killed = time.monotonic()
    counts = report(f"clock of web and relay {hours:+} h", on_either, killed)
    assert counts.repeated == 50
    assert counts.dead == 0
