"""The thread that writes in batches."""

import os
import threading

import pytest

from hybrid_tasks import batches
from hybrid_tasks.batches import BatchThread
from tests.hybrid_tasks.pauses import HeldPause
from tests.processes import PATIENCE, wait_until


class Ledger(BatchThread[str, int]):
    """Writes into a dict, when it may."""

    def __init__(self, limit: int = 100) -> None:
        super().__init__("test-ledger", limit, linger=0.01)
        self.open = threading.Event()
        self.open.set()
        self.refusals = 0
        self.written: dict[str, int] = {}
        self.batches: list[int] = []

    def write(self, batch: dict[str, int]) -> None:
        if not self.open.is_set():
            self.refusals += 1
            raise ConnectionError("away")
        self.batches.append(len(batch))
        self.written |= batch
        batch.clear()


def test_writes_all_in_few_batches_the_last_for_each_key() -> None:
    ledger = Ledger(limit=10_000)
    for number in range(5_000):
        ledger.put(str(number % 1_000), number)
    assert ledger.flush(PATIENCE)
    assert ledger.written == {str(number % 1_000): number for number in range(4_000, 5_000)}
    assert len(ledger.batches) < 100
    assert len(ledger) == 0


def test_drops_and_counts_what_finds_no_room(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    pause = HeldPause()
    monkeypatch.setattr(batches, "time", pause)
    ledger = Ledger(limit=2)
    ledger.open.clear()
    ledger.put("a", 1)
    assert pause.begun.wait(PATIENCE), "the first write was refused"
    assert ledger.put("b", 1)
    assert ledger.put("a", 2), "a newer value of what waits takes no room"
    assert not ledger.put("c", 1)
    assert ledger.dropped == 1
    assert "test-ledger is full: 1 dropped so far" in caplog.text
    assert ledger.peek("a") == 2
    ledger.open.set()
    pause.over.set()
    assert ledger.flush(PATIENCE)
    assert ledger.written == {"a": 2, "b": 1}


def test_keeps_what_cannot_be_written_and_tries_again(caplog: pytest.LogCaptureFixture) -> None:
    ledger = Ledger()
    ledger.open.clear()
    ledger.put("a", 1)
    wait_until(lambda: ledger.refusals >= 2, "it has tried twice")
    assert not ledger.flush(0.01)
    assert ledger.peek("a") == 1
    ledger.put("a", 2)
    ledger.open.set()
    assert ledger.flush(PATIENCE)
    assert ledger.written == {"a": 2}
    assert "test-ledger cannot write, will try again: ConnectionError('away')" in caplog.text


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_works_in_a_forked_child() -> None:
    ledger = Ledger()
    ledger.open.clear()
    ledger.put("parent", 1)
    child = os.fork()
    if child == 0:
        ledger.open.set()
        ledger.put("child", 1)
        flushed = ledger.flush(PATIENCE)
        os._exit(0 if flushed and ledger.written == {"child": 1} else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    ledger.open.set()
    assert ledger.flush(PATIENCE)
    assert ledger.written == {"parent": 1}
