"""How a process keeps the rows that its work owns, and hears of those that it has lost."""

import os

import pytest

from hybrid_tasks import engine
from hybrid_tasks.outbox import inserts, writes
from hybrid_tasks.outbox import writer as writer_room
from hybrid_tasks.outbox.clock import After
from hybrid_tasks.outbox.inserts import NewRow
from hybrid_tasks.outbox.writer import OutboxWriter, writer
from tests.hybrid_tasks.outbox.rows import LEASE, State, change, make, row, row_states
from tests.hybrid_tasks.outbox.writers import Gate, Work
from tests.hybrid_tasks.runtimes import HandClock
from tests.processes import PATIENCE, wait_until

SHORT = 1.0  # seconds: renewed three times in each


def wait_for_renewal(task_id: str) -> None:
    before = row(task_id).available_at
    wait_until(lambda: row(task_id).available_at > before, "the lease is renewed")


class Renewal:
    """Lets the time of a renewal come, and tells which rows it was for."""

    def __init__(self, by_hand: OutboxWriter, clock: HandClock) -> None:
        self._writer = by_hand
        self._clock = clock

    def of(self, *ids: str) -> set[str]:
        before = {task_id: row(task_id).available_at for task_id in ids}
        due = self._writer.until_due()
        assert due is not None
        assert due > 0
        self._clock.seconds += due
        self._writer.step()
        return {task_id for task_id in ids if row(task_id).available_at > before[task_id]}


@pytest.fixture
def renewal(by_hand: OutboxWriter, clock: HandClock) -> Renewal:
    return Renewal(by_hand, clock)


def test_a_lease_is_renewed_as_long_as_the_row_is_owned(a_writer: OutboxWriter) -> None:
    task_id = Work(a_writer.runtime).put(a_writer, SHORT)
    for _ in range(4):  # one more than a lease has
        wait_for_renewal(task_id)
    assert row(task_id).claimed_by == a_writer.holder


def test_a_lease_is_renewed_in_time_whatever_the_thread_waits_for(
    a_writer: OutboxWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a commit in the caller's own transaction, of which the thread knows nothing."""
    monkeypatch.setattr(engine, "IDLE_SECONDS", 10 * PATIENCE)
    work = Work(a_writer.runtime)
    work.put(a_writer, 10 * LEASE)
    result = make()
    inserts.insert([NewRow(result, holder=a_writer.holder, lease=SHORT)])
    work.leases[result.id] = SHORT
    a_writer.own(SHORT)
    wait_for_renewal(result.id)


def test_a_lease_is_renewed_thrice_in_its_time(
    by_hand: OutboxWriter, work: Work, clock: HandClock
) -> None:
    work.put(by_hand, LEASE)
    for _ in range(3):
        assert by_hand.until_due() == pytest.approx(LEASE / 3)
        clock.seconds += LEASE / 3
        by_hand.step()


@pytest.mark.parametrize("late", [0, LEASE / 2])
def test_a_row_is_renewed_whose_work_was_not_known_when_it_was_time(
    late: float, by_hand: OutboxWriter, work: Work, clock: HandClock
) -> None:
    """The renewal of others is due between a claim and the moment in which its caller goes on."""
    work.leases.pop(work.put(by_hand, LEASE))
    clock.seconds += LEASE / 3 - 0.1
    claimed = work.put(by_hand, LEASE)
    work.leases.clear()
    ends = clock.seconds + LEASE
    for _ in range(10):
        due = by_hand.until_due()
        assert due is not None
        clock.seconds += due
        if clock.seconds > ends - LEASE + late:
            work.leases[claimed] = LEASE
        before = row(claimed).available_at
        by_hand.step()
        if row(claimed).available_at > before:
            break
    assert clock.seconds < ends


def test_nothing_is_renewed_any_more_when_nothing_is_owned(
    by_hand: OutboxWriter, work: Work, clock: HandClock
) -> None:
    work.leases.pop(work.put(by_hand, LEASE))
    ends = clock.seconds + LEASE
    while clock.seconds < ends:
        clock.seconds += max(1.0, by_hand.until_due() or 0.0)
        by_hand.step()
    assert by_hand.until_due() is None


def test_one_renewal_is_for_all(by_hand: OutboxWriter, work: Work, renewal: Renewal) -> None:
    ids = [work.put(by_hand, lease) for lease in (LEASE, LEASE / 2, LEASE, LEASE / 2)]
    assert by_hand.until_due() == pytest.approx(LEASE / 6)
    assert renewal.of(*ids) == set(ids)
    assert by_hand.until_due() == pytest.approx(LEASE / 6)


def test_new_rows_do_not_put_off_the_renewal_of_others(
    by_hand: OutboxWriter, work: Work, clock: HandClock
) -> None:
    work.put(by_hand, LEASE)
    clock.seconds += LEASE / 6
    for lease in (LEASE, 2 * LEASE):
        work.put(by_hand, lease)
        assert by_hand.until_due() == pytest.approx(LEASE / 6)


def test_what_nobody_would_run_is_not_renewed(
    by_hand: OutboxWriter, work: Work, renewal: Renewal
) -> None:
    """Such as a row whose transaction was committed, and then another's on_commit hook raised."""
    stray, kept = work.put(by_hand, LEASE), work.put(by_hand, LEASE)
    del work.leases[stray]
    for _ in range(3):
        assert renewal.of(stray, kept) == {kept}
    assert row(stray).state == State.CLAIMED


def test_what_is_claimed_for_a_delivery_is_renewed(
    by_hand: OutboxWriter, work: Work, renewal: Renewal
) -> None:
    result = make()
    inserts.insert([NewRow(result)])
    assert by_hand.claim(result.id, LEASE, PATIENCE)
    work.leases[result.id] = LEASE
    assert renewal.of(result.id) == {result.id}


def test_without_work_there_is_nothing_to_renew(
    by_hand: OutboxWriter, work: Work, clock: HandClock
) -> None:
    work.put(by_hand, LEASE)
    work.leases.clear()
    clock.seconds += LEASE
    by_hand.step()
    assert by_hand.until_due() is None


def test_who_owns_a_row_hears_that_another_process_has_taken_it(
    by_hand: OutboxWriter, work: Work, renewal: Renewal, caplog: pytest.LogCaptureFixture
) -> None:
    lost, kept = work.put(by_hand, LEASE), work.put(by_hand, LEASE)
    change(lost, claimed_by="other", available_at=After(LEASE))
    assert renewal.of(lost, kept) == {kept}
    assert work.heard == [{lost}]
    assert row(lost).claimed_by == "other"
    assert "1 tasks were taken over while this process hung" in caplog.text
    assert renewal.of(lost, kept) == {kept}
    assert work.heard == [{lost}]


def test_what_ends_while_it_is_renewed_is_not_lost(by_hand: OutboxWriter, renewal: Renewal) -> None:
    class Ending(Work):
        def owned(self) -> list[tuple[str, float]]:
            owned = super().owned()
            self.leases.pop(ended, None)
            return owned

    ending = Ending(by_hand.runtime)
    ended = ending.put(by_hand, LEASE)
    kept = ending.put(by_hand, LEASE)
    change(ended, state=State.WAITING, claimed_by="")
    assert renewal.of(kept) == {kept}
    assert ending.heard == []


def test_an_owner_that_raises_does_not_end_the_writer(a_writer: OutboxWriter) -> None:
    class Raising(Work):
        def lost(self, ids: set[str]) -> None:
            super().lost(ids)
            raise RuntimeError("Event loop is closed")

    raising = Raising(a_writer.runtime)
    lost = raising.put(a_writer, SHORT)
    change(lost, claimed_by="other", available_at=After(LEASE))
    wait_until(lambda: raising.heard, "the loss is told")
    wait_for_renewal(raising.put(a_writer, SHORT))
    assert raising.heard == [{lost}]


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_begins_anew(
    a_writer: OutboxWriter, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It owns nothing of its parent's, writes nothing of its parent's, and can write."""
    held = Work(a_writer.runtime).put(a_writer, LEASE)
    gate.close()
    a_writer.remove(held)
    gate.wait_for_knock()
    result = make()
    child = os.fork()
    if child == 0:
        try:
            # Not by the gate, whose lock the parent's thread may have held.
            monkeypatch.setattr(writer_room, "perform", writes.perform)
            anew = writer()
            anew.put_row(NewRow(result, holder=anew.holder, lease=LEASE), PATIENCE)
            os._exit(0 if anew.flush(PATIENCE) and not anew.runtime.owned() else 1)
        finally:
            os._exit(2)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert row_states() == {held: State.CLAIMED, result.id: State.CLAIMED}
    assert row(held).claimed_by == a_writer.holder
    assert row(result.id).claimed_by not in ("", a_writer.holder)
    gate.open()
    assert a_writer.flush(PATIENCE)
    assert row_states() == {result.id: State.CLAIMED}
