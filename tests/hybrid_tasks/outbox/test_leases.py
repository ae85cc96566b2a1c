"""How a process keeps what it holds, and hears of what it has lost."""

import os

import pytest

from hybrid_tasks.outbox import inserts, thread, writes
from hybrid_tasks.outbox.clock import After
from hybrid_tasks.outbox.inserts import NewRow
from hybrid_tasks.outbox.writer import OutboxWriter
from tests.hybrid_tasks.outbox.rows import LEASE, State, change, make, row, row_states
from tests.hybrid_tasks.outbox.writers import Gate
from tests.processes import PATIENCE, wait_until

SHORT = 1.0  # seconds: renewed three times in each


def put(writer: OutboxWriter, lease: float) -> str:
    result = make()
    writer.put(NewRow(result, holder=writer.holder, lease=lease), PATIENCE)
    return result.id


def wait_for_renewal(task_id: str) -> None:
    before = row(task_id).available_at
    wait_until(lambda: row(task_id).available_at > before, "the lease is renewed")


def test_a_lease_is_renewed_as_long_as_the_row_is_held(a_writer: OutboxWriter) -> None:
    task_id = put(a_writer, SHORT)
    for _ in range(4):  # one more than a lease has
        wait_for_renewal(task_id)
    assert row(task_id).claimed_by == a_writer.holder


def test_a_lease_is_renewed_in_time_whatever_the_thread_waits_for(
    a_writer: OutboxWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a worker, which claims rows itself while its writer sleeps."""
    monkeypatch.setattr(thread, "IDLE_SECONDS", 10 * PATIENCE)
    put(a_writer, 10 * LEASE)
    result = make()
    inserts.insert([NewRow(result, holder=a_writer.holder, lease=SHORT)])
    a_writer.hold(result.id, SHORT)
    wait_for_renewal(result.id)


def test_one_renewal_is_for_all(a_writer: OutboxWriter) -> None:
    ids = [put(a_writer, SHORT) for _ in range(4)]
    for task_id in ids:
        wait_for_renewal(task_id)


def test_what_nobody_would_run_is_not_renewed(a_writer: OutboxWriter) -> None:
    """Such as a row whose transaction was committed, and then another's on_commit hook raised."""
    stray, kept = put(a_writer, SHORT), put(a_writer, SHORT)
    a_writer.forget([stray])
    wait_for_renewal(kept)  # the one of both may have begun
    before = row(stray).available_at
    wait_for_renewal(kept)
    wait_for_renewal(kept)
    assert (row(stray).available_at, row(stray).state) == (before, State.CLAIMED)


def test_what_is_let_go_is_not_renewed(a_writer: OutboxWriter) -> None:
    gone, kept = put(a_writer, SHORT), put(a_writer, SHORT)
    a_writer.release(gone)
    assert a_writer.flush(PATIENCE)
    before = row(gone).available_at
    wait_for_renewal(kept)
    assert (row(gone).available_at, row(gone).state) == (before, State.WAITING)


def test_listeners_hear_of_what_another_process_has_taken(
    a_writer: OutboxWriter, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[set[str]] = []
    a_writer.listeners.append(heard.append)
    lost, kept = put(a_writer, SHORT), put(a_writer, SHORT)
    change(lost, claimed_by="other", available_at=After(LEASE))
    wait_until(lambda: heard, "the loss is told")
    wait_for_renewal(kept)
    assert heard == [{lost}]
    assert row(lost).claimed_by == "other"
    assert "1 tasks were taken over while this process hung" in caplog.text


def test_a_listener_that_raises_does_not_end_the_writer(a_writer: OutboxWriter) -> None:
    """Such as one whose loop is closed."""
    heard: list[set[str]] = []

    def listen(lost: set[str]) -> None:
        heard.append(lost)
        raise RuntimeError("Event loop is closed")

    a_writer.listeners.append(listen)
    lost = put(a_writer, SHORT)
    change(lost, claimed_by="other", available_at=After(LEASE))
    wait_until(lambda: heard, "the loss is told")
    kept = put(a_writer, SHORT)
    wait_for_renewal(kept)
    assert heard == [{lost}]


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_begins_anew(
    a_writer: OutboxWriter, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds nothing of its parent's, writes nothing of its parent's, and can write."""
    held = put(a_writer, LEASE)
    gate.close()
    a_writer.remove(held)
    gate.wait_for_knock()
    result = make()
    child = os.fork()
    if child == 0:
        try:
            # Not by the gate, whose lock the parent's thread may have held.
            monkeypatch.setattr(thread, "perform", writes.perform)
            a_writer.put(NewRow(result, holder=a_writer.holder, lease=LEASE), PATIENCE)
            a_writer.hold(result.id, LEASE)
            os._exit(0 if a_writer.flush(PATIENCE) else 1)
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
