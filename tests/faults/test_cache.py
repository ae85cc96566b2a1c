"""The cache of results, which nothing that is durable depends on."""

import time
from collections import Counter

import httpx
import pytest

from tests.faults.conftest import Report
from tests.faults.system import FaultSystem, accept
from tests.loop.system import Web
from tests.processes import PATIENCE, wait_until


def look_up(web: Web, ids: list[str]) -> Counter[str]:
    """Return what the server tells of these tasks."""
    return Counter(httpx.post(f"{web.url}/look_up", json=ids, timeout=PATIENCE).json())


@pytest.mark.slow_fault
def test_the_cache_is_emptied(on_sqlite: FaultSystem, report: Report) -> None:
    web, _ = on_sqlite.up()
    ids = accept(web, 400, seconds=2).ids
    ids += accept(web, 200, backend="celery").ids
    on_sqlite.ledger.wait_for("end", 50)
    on_sqlite.clear_cache()
    cleared = time.monotonic()
    ended = on_sqlite.ledger.ids("end")
    later = [task_id for task_id in ids if task_id not in ended]
    assert len(later) > 100
    counts = report("result cache emptied", on_sqlite, cleared)
    assert (counts.effects, counts.repeated, counts.dead) == (600, 0, 0)

    known = {"SUCCESSFUL": len(later)}
    wait_until(lambda: look_up(web, later) == known, "the later results are known")
    on_sqlite.clear_cache()
    assert look_up(web, ids) == {"unknown": 600}
