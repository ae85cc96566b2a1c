"""The writer: what many want written shares a commit, and who gave up leaves nothing behind."""

import asyncio
from functools import partial
from typing import Any

import pytest
from django.db import IntegrityError

from hybrid_tasks import engine
from hybrid_tasks.exceptions import OutboxUnavailable
from hybrid_tasks.execution.threads import then_close
from hybrid_tasks.outbox import inserts, writes
from hybrid_tasks.outbox import writer as writer_room
from hybrid_tasks.outbox.clock import After
from hybrid_tasks.outbox.inserts import NewRow
from hybrid_tasks.outbox.writer import OutboxWriter
from hybrid_tasks.outbox.writes import Kind, Write
from hybrid_tasks.results import states
from hybrid_tasks.results.task_result import TaskResult
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.outbox.rows import LEASE, State, about, change, make, row, row_states
from tests.hybrid_tasks.outbox.rows import states_apart as rows_there
from tests.hybrid_tasks.outbox.writers import Gate, locked_table
from tests.processes import PATIENCE


def new(writer: OutboxWriter, lease: float = LEASE) -> NewRow:
    return NewRow(make(tasks.succeed_at), holder=writer.holder, lease=lease)


def unwritable() -> NewRow:
    """A row that no database takes: JSON cannot hold it."""
    return NewRow(states.advance(make(), metadata={"thing": object()}))


def put(writer: OutboxWriter, lease: float = LEASE) -> TaskResult:
    one = new(writer, lease)
    writer.put_row(one, PATIENCE)
    return one.result


async def test_many_callers_share_a_commit(a_writer: OutboxWriter, gate: Gate) -> None:
    gate.close()
    waiting = [asyncio.create_task(a_writer.aput(new(a_writer), PATIENCE)) for _ in range(200)]
    await asyncio.sleep(0)  # all have asked
    gate.open()
    await asyncio.gather(*waiting)
    assert len(await asyncio.to_thread(rows_there)) == sum(gate.sizes) == 200
    assert len(gate.sizes) <= 2


async def test_the_row_is_there_when_the_caller_goes_on(a_writer: OutboxWriter) -> None:
    one = new(a_writer)
    await a_writer.aput(one, PATIENCE)
    assert await asyncio.to_thread(rows_there) == {one.result.id: State.CLAIMED}


def test_many_rows_of_one_caller(a_writer: OutboxWriter, gate: Gate) -> None:
    a_writer.put_rows([new(a_writer) for _ in range(1200)], PATIENCE)
    assert len(row_states()) == 1200
    assert max(gate.sizes) <= engine.BATCH


@pytest.mark.parametrize("held", [True, False], ids=["claimed", "for the relay"])
def test_who_gave_up_leaves_no_row(a_writer: OutboxWriter, held: bool) -> None:
    """Neither the one that the database was asked for nor the one that still waited."""
    rows = [new(a_writer) if held else NewRow(make()) for _ in range(2)]
    with locked_table():
        for one in rows:
            with pytest.raises(OutboxUnavailable, match=r"did not take the task within 0\.2 s"):
                a_writer.put_row(one, 0.2)
    kept = put(a_writer)
    assert a_writer.flush(PATIENCE)
    assert row_states() == {kept.id: State.CLAIMED}


async def test_a_coroutine_that_gave_up_leaves_no_row(a_writer: OutboxWriter) -> None:
    refusal = pytest.raises(OutboxUnavailable, match=r"did not take the task within 0\.2 s")
    with locked_table(), refusal:
        await a_writer.aput(new(a_writer), 0.2)
    assert await asyncio.to_thread(a_writer.flush, PATIENCE)
    assert await asyncio.to_thread(rows_there) == {}


async def test_a_cancelled_caller_leaves_no_row(
    a_writer: OutboxWriter, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    gate.close()
    caller = asyncio.create_task(a_writer.aput(new(a_writer), PATIENCE))
    await asyncio.to_thread(gate.wait_for_knock)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    gate.open()
    assert await asyncio.to_thread(a_writer.flush, PATIENCE)
    assert await asyncio.to_thread(rows_there) == {}
    assert "InvalidStateError" not in caplog.text


def test_a_lost_answer_to_a_commit_changes_nothing(a_writer: OutboxWriter, gate: Gate) -> None:
    gate.answers_to_lose = 1
    result = put(a_writer)
    assert row_states() == {result.id: State.CLAIMED}
    assert len(gate.sizes) == 2


@pytest.mark.parametrize("held", [True, False], ids=["claimed", "for the relay"])
def test_who_gave_up_while_the_answer_was_lost_leaves_no_row(
    by_hand: OutboxWriter, gate: Gate, held: bool
) -> None:
    gate.answers_to_lose = 1
    with pytest.raises(OutboxUnavailable, match="the answer to the commit was lost"):
        by_hand.put_row(new(by_hand) if held else NewRow(make()), PATIENCE)
    assert len(row_states()) == 1
    assert by_hand.flush(PATIENCE)
    assert row_states() == {}


async def test_one_bad_request_spares_its_neighbours(
    a_writer: OutboxWriter, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    gate.close()
    good = [new(a_writer) for _ in range(5)]
    mixed = [*good[:3], unwritable(), *good[3:]]
    waiting = [asyncio.create_task(a_writer.aput(one, PATIENCE)) for one in mixed]
    await asyncio.sleep(0)
    gate.open()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(one) for one in answers] == [type(None)] * 3 + [TypeError] + [type(None)] * 2
    there = await asyncio.to_thread(rows_there)
    assert set(there) == {one.result.id for one in good}
    assert "hybrid-tasks-outbox cannot write INSERT of task id=" in caplog.text


def test_one_bad_row_of_a_caller_takes_the_others_along(a_writer: OutboxWriter) -> None:
    """A caller who is told that it failed must not have put any."""
    with pytest.raises(TypeError):
        a_writer.put_rows([new(a_writer), unwritable(), NewRow(make())], PATIENCE)
    assert a_writer.flush(PATIENCE)
    assert row_states() == {}


def test_a_refusal_is_told_as_one(a_writer: OutboxWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise IntegrityError("no such column")

    monkeypatch.setattr(writer_room, "perform", refuse)
    with pytest.raises(OutboxUnavailable, match="refused the task: no such column"):
        put(a_writer)


def test_too_many_requests_are_refused_at_once(
    a_writer: OutboxWriter, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(a_writer, "limit", 2)
    gate.close()
    a_writer.release("no task's id")
    gate.wait_for_knock()
    with pytest.raises(OutboxUnavailable, match="2 requests wait for the database already"):
        a_writer.put_rows([new(a_writer) for _ in range(3)], PATIENCE)
    gate.open()
    assert a_writer.flush(PATIENCE)
    assert row_states() == {}


async def test_attempts_are_counted_by_those_who_hold_the_row(a_writer: OutboxWriter) -> None:
    ours, others = new(a_writer), new(a_writer)
    for one in (ours, others):
        await a_writer.aput(one, PATIENCE)
    lose = partial(change, others.result.id, claimed_by="other")
    await asyncio.to_thread(then_close, lose)
    starts = [a_writer.astart(one.result.id, LEASE, 1) for one in (ours, others)]
    assert await asyncio.gather(*starts) == [True, False]


async def test_who_gave_up_an_attempt_has_made_none(a_writer: OutboxWriter, gate: Gate) -> None:
    """Such as a job that is stopped while it waits for the database."""
    one = new(a_writer)
    await a_writer.aput(one, PATIENCE)
    gate.close()
    starting = asyncio.create_task(a_writer.astart(one.result.id, LEASE, 1))
    await asyncio.to_thread(gate.wait_for_knock)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    gate.open()
    assert await asyncio.to_thread(a_writer.flush, PATIENCE)
    found = await asyncio.to_thread(then_close, partial(row, one.result.id))
    assert (found.state, found.attempts) == (State.CLAIMED, 0)


def test_errors_are_kept_with_a_row_that_is_sent_with_them(a_writer: OutboxWriter) -> None:
    """Both may be asked for so quickly that they share a transaction."""
    result = put(a_writer)
    failed = states.to_retry(states.started(result, "here"), ValueError("not yet"))
    sent = Write(Kind.SENT, result.id, seconds=LEASE)
    writes.perform([sent, Write(Kind.NOTE_FAILURE, result.id, result=failed)], a_writer.holder)
    assert row(result.id).state == State.SENT
    assert len(row(result.id).errors) == 1


def test_what_has_ended_goes_in_few_commits(a_writer: OutboxWriter, gate: Gate) -> None:
    rows = [new(a_writer) for _ in range(100)]
    a_writer.put_rows(rows, PATIENCE)
    gate.close()
    for one in rows:
        a_writer.remove(one.result.id)
    assert not a_writer.flush(0.01)
    gate.sizes.clear()
    gate.open()
    assert a_writer.flush(PATIENCE)
    assert row_states() == {}
    assert len(gate.sizes) <= 2


def test_rows_are_left_kept_and_buried(a_writer: OutboxWriter) -> None:
    released, postponed, dead = put(a_writer), put(a_writer), put(a_writer)
    failed = states.failed(dead, ValueError("bad meat"))
    a_writer.release(released.id)
    a_writer.postpone(states.to_retry(postponed, ValueError("not yet")), LEASE)
    a_writer.bury(failed)
    assert a_writer.flush(PATIENCE)
    assert row_states() == {released.id: "WAITING", postponed.id: "WAITING", dead.id: "DEAD"}
    assert about(postponed.id, LEASE)
    assert len(row(postponed.id).errors) == len(row(dead.id).errors) == 1


def test_only_who_has_buried_a_task_tells_of_it(
    by_hand: OutboxWriter, dead: list[dict[str, Any]]
) -> None:
    ours, lost = put(by_hand), put(by_hand)
    change(lost.id, claimed_by="other")
    for one in (ours, lost):
        by_hand.bury(states.failed(one, ValueError("bad meat")))
    assert by_hand.flush(PATIENCE)
    assert row_states() == {ours.id: State.DEAD, lost.id: State.CLAIMED}
    assert [told["task_id"] for told in dead] == [ours.id]


def test_a_flush_has_its_limit(a_writer: OutboxWriter, gate: Gate) -> None:
    assert a_writer.flush(0)
    gate.close()
    a_writer.remove("unknown")
    assert not a_writer.flush(0.05)
    gate.open()
    assert a_writer.flush(PATIENCE)


def delivered() -> str:
    """Return the id of a task that the broker has delivered."""
    result = make()
    inserts.insert([NewRow(result)])
    change(result.id, state=State.SENT, claimed_by="the relay", available_at=After(LEASE))
    return result.id


def test_what_is_delivered_is_claimed_once(a_writer: OutboxWriter) -> None:
    task_id = delivered()
    claimed = a_writer.claim(task_id, LEASE, PATIENCE)
    assert claimed is not None
    assert (claimed.pk, claimed.attempts, claimed.claimed_by) == (task_id, 1, a_writer.holder)
    assert a_writer.claim(task_id, LEASE, PATIENCE) is None
    assert row_states() == {task_id: State.CLAIMED}


def test_a_lost_answer_to_a_claim_loses_no_claim(a_writer: OutboxWriter, gate: Gate) -> None:
    task_id = delivered()
    gate.answers_to_lose = 1
    assert a_writer.claim(task_id, LEASE, PATIENCE)
    assert row(task_id).attempts == 1


def test_who_gave_up_while_the_answer_was_lost_has_claimed_nothing(
    by_hand: OutboxWriter, gate: Gate
) -> None:
    """Else a task with one attempt would be a dead letter that never began."""
    task_id = delivered()
    gate.answers_to_lose = 1
    with pytest.raises(OutboxUnavailable, match="the answer to the commit was lost"):
        by_hand.claim(task_id, LEASE, PATIENCE)
    assert row(task_id).state == State.CLAIMED
    assert by_hand.flush(PATIENCE)
    assert (row(task_id).state, row(task_id).attempts) == (State.WAITING, 0)


def test_who_gave_up_a_claim_has_made_no_attempt(a_writer: OutboxWriter, gate: Gate) -> None:
    task_id = delivered()
    gate.close()
    request = Write(Kind.CLAIM, task_id, seconds=LEASE)
    a_writer._request(request)
    gate.wait_for_knock()  # before the database is asked, nothing would be claimed
    a_writer._abandon(request)
    gate.open()
    assert a_writer.flush(PATIENCE)
    assert (row(task_id).state, row(task_id).attempts) == (State.WAITING, 0)
