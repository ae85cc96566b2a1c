"""A process that dies between its commit and the broker, and one that rolls back."""

import time

from tests.faults.conftest import Report
from tests.faults.management.commands.enqueue_in_transaction import PUBLISHED
from tests.faults.system import FaultSystem
from tests.loop.system import DJANGO
from tests.processes import PATIENCE

N = 500


def test_what_is_committed_is_sent_once_and_what_is_rolled_back_never(
    on_sqlite: FaultSystem, report: Report
) -> None:
    rolled_back = on_sqlite.start(
        [*DJANGO, "enqueue_in_transaction", str(N), "--roll-back"], on_sqlite.env
    )
    assert rolled_back.popen.wait(PATIENCE) == 0, rolled_back.output()
    assert on_sqlite.ledger.count("accept") == 0
    assert on_sqlite.rows() == []
    assert on_sqlite.queued_ids() == []

    committed = on_sqlite.start([*DJANGO, "enqueue_in_transaction", str(N)], on_sqlite.env)
    assert committed.popen.wait(PATIENCE) == -9, committed.output()
    killed = time.monotonic()
    assert len(on_sqlite.queued_ids()) == PUBLISHED
    on_sqlite.rescue()
    counts = report("killed between commit and publish", on_sqlite, killed)
    assert (counts.accepted, counts.effects) == (N, N)
    assert (counts.repeated, counts.dead) == (0, 0)
