"""Workers and their children that are killed, also by the tasks themselves."""

import time
from contextlib import suppress

import httpx
import pytest

from tests.faults.conftest import Report
from tests.faults.system import RESCUE_SECONDS, FaultSystem, accept
from tests.processes import PATIENCE


def test_a_worker_and_a_child_of_it_are_killed(on_sqlite: FaultSystem, report: Report) -> None:
    on_sqlite.env |= {"SECONDS_SCALE": "1"}
    web, worker = on_sqlite.up()
    accept(web, 250)
    accept(web, 250, backend="celery", seconds=0.02)
    on_sqlite.ledger.wait_for("end", 250 + 50)
    on_sqlite.kill_child(worker)
    on_sqlite.ledger.wait_for("end", 250 + 100)
    on_sqlite.kill(worker)
    killed = time.monotonic()
    on_sqlite.prefork()
    counts = report("pool child, then worker killed", on_sqlite, killed)
    # One task in each child that was killed, and at most two deliveries of it went with the worker.
    assert counts.dead + counts.repeated <= 3


@pytest.mark.slow_fault
def test_a_task_that_kills_its_process_ends_as_a_dead_letter(
    on_postgres: FaultSystem, report: Report
) -> None:
    web, _ = on_postgres.up()
    accept(web, 2, tasks="poison", backend="celery")
    accept(web, 500, backend="celery")
    began = time.monotonic()
    with suppress(httpx.TransportError):  # this one kills the server first, before it can answer
        accept(web, 1, tasks="poison")
    web.process.popen.wait(PATIENCE)
    report("task kills its process", on_postgres, began, aim=4 * RESCUE_SECONDS)

    tasks = on_postgres.histories()
    poisoned = {task_id for task_id, history in tasks.items() if history.task == "poison"}
    assert len(poisoned) == 3
    assert {row.id for row in on_postgres.rows()} == poisoned
    assert [len(tasks[task_id].attempts) for task_id in poisoned] == [3, 3, 3]
