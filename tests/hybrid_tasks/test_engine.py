"""The engine under recorder, publisher and outbox, stepped by hand."""

import logging

import pytest

from hybrid_tasks.engine import BATCH
from hybrid_tasks.runtime import Runtime
from tests.hybrid_tasks.engines import Ledger, put


@pytest.fixture
def ledger() -> Ledger:
    """One that is stepped by hand."""
    return Runtime(threads=False).part(Ledger)


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR]


def test_writes_all_in_few_batches_the_last_for_each_key(ledger: Ledger) -> None:
    for number in range(5_000):
        ledger.put(str(number % 1_000), number)
    assert len(ledger) == 1_000
    assert ledger.step()
    assert ledger.written == {str(number % 1_000): number for number in range(4_000, 5_000)}
    assert ledger.batches == [BATCH, BATCH]
    assert len(ledger) == 0


def test_drops_and_counts_what_finds_no_room(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    ledger.limit = 2
    put(ledger, "ab")
    assert ledger.put("a", 7), "a newer value of what waits takes no room"
    assert not any(ledger.put(key, 1) for key in "cdef")
    assert ledger.put("must", 1, always=True)
    assert ledger.dropped == 4
    told = [f"test-ledger is full: {number} dropped so far" for number in (1, 2, 4)]
    assert [one.getMessage() for one in caplog.records] == told
    assert ledger.flush(0)
    assert ledger.written == {"a": 7, "b": 1, "must": 1}


def test_keeps_all_while_the_other_side_is_away(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    ledger.there = False
    put(ledger, "abc")
    assert not ledger.step()
    assert not ledger.flush(0)
    assert (ledger.failure, len(ledger), ledger.peek("b")) == (": away", 3, 1)
    said = "test-ledger cannot write, will try again: ConnectionError('away')"
    assert [one.getMessage() for one in caplog.records] == [said]  # once for both
    ledger.put("b", 7)
    ledger.there = True
    assert ledger.step()
    assert ledger.written == {"a": 0, "b": 7, "c": 2}
    assert (ledger.failure, ledger.failed, ledger.failures) == ("", 0, {})
    assert "test-ledger writes again" in caplog.text


def test_who_is_away_is_connected_anew(ledger: Ledger) -> None:
    ledger.there = False
    put(ledger, "a")
    ledger.step()
    assert ledger.closed == 1
    ledger.there = True
    ledger.step()
    assert ledger.closed == 1


@pytest.mark.parametrize(
    "fault", [ValueError("bad"), MemoryError(), KeyboardInterrupt(), SystemExit()], ids=repr
)
def test_an_item_fails_alone_and_holds_up_nobody(
    ledger: Ledger, fault: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    ledger.faults = {"c": fault}
    put(ledger, "abcde")
    assert ledger.step(), "the other side is there"
    assert ledger.written == {"a": 0, "b": 1, "d": 3, "e": 4}
    assert (ledger.failures, ledger.failed, len(ledger)) == ({"c": fault}, 1, 0)
    assert errors(caplog) == ["test-ledger cannot write c"]


def test_an_item_for_which_nobody_can_do_anything_holds_up_nobody(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    ledger.faults = {key: ValueError("bad") for key in "ac"}
    ledger.helpless = {"a"}
    put(ledger, "abcd")
    assert ledger.step()
    assert ledger.written == {"b": 1, "d": 3}
    assert ledger.failures.keys() == {"c"}
    assert "test-ledger cannot deal with a" in errors(caplog)


def test_who_goes_away_after_a_bad_item_keeps_the_rest(ledger: Ledger) -> None:
    ledger.faults = {"b": ValueError("bad"), "c": ConnectionError("away")}
    put(ledger, "abcd")
    assert not ledger.step()
    assert (ledger.written, ledger.failures.keys()) == ({"a": 0}, {"b"})
    assert [ledger.peek(key) for key in "cd"] == [2, 3]
    ledger.faults.clear()
    assert ledger.step()
    assert ledger.written == {"a": 0, "c": 2, "d": 3}


def test_of_two_items_with_a_key_what_they_make_together_is_written() -> None:
    class Most(Ledger):
        def merged(self, old: int, new: int) -> int:
            return max(old, new)

        def write(self, batch: dict[str, int]) -> None:
            if not self.there:
                assert self.put("a", 1)  # by another thread, meanwhile
            super().write(batch)

    most = Runtime(threads=False).part(Most)
    for number in (1, 3, 2):
        most.put("a", number)
    assert most.peek("a") == 3
    most.there = False
    assert not most.step()
    assert most.peek("a") == 3
    most.there = True
    assert most.step()
    assert most.written == {"a": 3}


def test_what_is_put_down_while_others_are_written_waits_for_its_turn() -> None:
    class Chain(Ledger):
        def write(self, batch: dict[str, int]) -> None:
            last = max(batch.values())
            super().write(batch)
            if last < 3:
                self.put("a", last + 1)

    chain = Runtime(threads=False).part(Chain)
    chain.put("a", 0)
    assert chain.flush(0)
    assert (chain.written, chain.batches) == ({"a": 3}, [1, 1, 1, 1])


def test_a_fault_of_the_engine_itself_is_told_and_loses_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(Ledger):
        broken = True

        def do_due(self) -> bool:
            if self.broken:
                raise RuntimeError("out of order")
            return True

        def write(self, batch: dict[str, int]) -> None:
            if self.broken:
                raise ConnectionError("away")
            super().write(batch)

    broken = Runtime(threads=False).part(Broken)
    put(broken, "ab")
    assert not broken.step()
    assert broken.failure == ": RuntimeError('out of order')"
    assert errors(caplog) == ["test-ledger failed"]
    broken.broken = False
    assert broken.step()
    assert broken.written == {"a": 0, "b": 1}
