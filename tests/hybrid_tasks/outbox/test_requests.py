"""Requests to the writer: what is asked for, for how long it is waited, and what is undone."""

import asyncio
import logging
from concurrent.futures import Future
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError

from hybrid_tasks.exceptions import OutboxUnavailable, TaskCancelled
from hybrid_tasks.outbox import claims, writes
from hybrid_tasks.outbox import writer as writer_room
from hybrid_tasks.outbox.clock import After
from hybrid_tasks.outbox.dead_letters import Announcer
from hybrid_tasks.outbox.inserts import NewRow
from hybrid_tasks.outbox.writer import OutboxWriter, still_wanted
from hybrid_tasks.outbox.writes import Kind, Write
from hybrid_tasks.results import states
from hybrid_tasks.results.task_result import TaskResult
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.outbox.rows import (
    LEASE,
    State,
    about,
    add,
    add_many,
    change,
    make,
    row,
    row_states,
)
from tests.hybrid_tasks.outbox.writers import Gate, Work
from tests.hybrid_tasks.runtimes import HandClock
from tests.processes import PATIENCE

NEW = 1700.0  # seconds of a lease or a delay, unlike any other here


def pending(writer: OutboxWriter) -> list[tuple[Any, ...]]:
    return [(one.kind, one.id, one.attempt) for one in writer.items()]


def failed(result: TaskResult) -> TaskResult:
    return states.failed(result, ValueError("bad meat"))


def refuse(*_: object) -> None:
    raise IntegrityError("no such column")


# --- One request ----------------------------------------------------------------------------------


@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize("kind", Kind)
def test_only_some_requests_make_a_row_ones_own(kind: Kind, held: bool) -> None:
    """Its lease is to be renewed then."""
    inserted = NewRow(make(), holder="me" if held else "", lease=LEASE)
    assert Write(Kind.INSERT, "7", inserted).lease == (LEASE if held else 0.0)
    owns = kind in (Kind.CLAIM, Kind.START)
    assert Write(kind, "7", seconds=NEW).lease == (NEW if owns else 0.0)
    assert Write(kind, "7").lease == 0.0


def test_a_request_is_named_by_what_it_is_and_for_which_task() -> None:
    assert str(Write(Kind.BURY, "7")) == "BURY of task id=7"


def test_requests_of_all_kinds_share_a_transaction_in_their_order(by_hand: OutboxWriter) -> None:
    """Such as an insert by who had given up the same one, or errors of a task that is sent."""
    me = by_hand.holder
    again, sent, dead, gone, orphan = (add(me, task=tasks.succeed_at) for _ in range(5))
    claimed, postponed, counted = (add(me, task=tasks.succeed_at) for _ in range(3))
    change(claimed.id, state=State.SENT)
    change(orphan.id, claimed_by="dead-1")
    change(counted.id, attempts=1)
    asked = [
        Write(Kind.CLAIM_FROM, orphan.id, seconds=NEW, process="dead-"),
        Write(Kind.UNCOUNT, counted.id, attempt=1),
        Write(Kind.REMOVE, gone.id),
        Write(Kind.BURY, dead.id, result=failed(dead)),
        Write(Kind.BURY, "unknown", result=failed(dead)),
        Write(Kind.POSTPONE, postponed.id, result=failed(postponed), seconds=NEW),
        Write(Kind.SENT, sent.id, seconds=NEW),
        Write(Kind.SENT, "unknown", seconds=NEW),
        Write(Kind.NOTE_FAILURE, sent.id, result=failed(sent)),
        Write(Kind.CLAIM, claimed.id, seconds=NEW),
        Write(Kind.CLAIM, "unknown", seconds=NEW),
        Write(Kind.INSERT, again.id, NewRow(again)),
        Write(Kind.WITHDRAW, again.id),
    ]
    writes.perform(asked, me)
    told = {(one.kind, one.id): one.outcome for one in asked if one.outcome is not None}
    rows = {(kind, one.pk) for (kind, _), one in told.items() if not isinstance(one, bool)}
    assert rows == {(Kind.CLAIM, claimed.id), (Kind.CLAIM_FROM, orphan.id)}
    assert {key: one for key, one in told.items() if isinstance(one, bool)} == {
        (Kind.BURY, dead.id): True,
        (Kind.BURY, "unknown"): False,
        (Kind.SENT, sent.id): True,
        (Kind.SENT, "unknown"): False,
    }
    assert row_states() == {
        again.id: State.WAITING,
        sent.id: State.SENT,
        dead.id: State.DEAD,
        orphan.id: State.CLAIMED,
        claimed.id: State.CLAIMED,
        postponed.id: State.WAITING,
        counted.id: State.CLAIMED,
    }
    assert (row(orphan.id).claimed_by, row(counted.id).attempts) == (me, 0)
    assert [len(row(one.id).errors) for one in (sent, dead, postponed)] == [1, 1, 1]
    assert [about(one.id, NEW) for one in (orphan, sent, claimed, postponed)] == [True] * 4


def test_attempts_of_one_lease_and_number_are_counted_together(by_hand: OutboxWriter) -> None:
    ids = add_many(5, by_hand.holder)
    change(ids[1], attempts=1)
    change(ids[3], claimed_by="you")
    numbers, leases = [1, 2, 1, 1, 3], [LEASE, LEASE, NEW, LEASE, LEASE]
    asked = [
        Write(Kind.START, task_id, seconds=lease, attempt=number)
        for task_id, number, lease in zip(ids, numbers, leases, strict=True)
    ]
    writes.perform(asked, by_hand.holder)
    assert [one.outcome for one in asked] == [True, True, True, False, False]
    assert [row(one).attempts for one in ids] == [1, 2, 1, 0, 0]
    assert [about(one, NEW) for one in ids] == [False, False, True, False, False]


@pytest.mark.parametrize("tried", [True, False])
def test_what_is_claimed_already_was_by_this_request_if_that_was_tried(
    tried: bool, by_hand: OutboxWriter
) -> None:
    other, ours = sorted(add_many(2, by_hand.holder))  # the first of all is not the one
    request = Write(Kind.CLAIM, ours, seconds=LEASE, tried=tried)
    writes.perform([request], by_hand.holder)
    if tried:
        assert request.outcome.pk == ours
    else:
        assert request.outcome is None
    assert (row(ours).attempts, row(other).attempts) == (0, 0)


def test_only_the_claim_of_who_gave_up_is_undone(by_hand: OutboxWriter) -> None:
    given_up, kept = add_many(2, by_hand.holder)
    for task_id in (given_up, kept):
        change(task_id, attempts=1)
    writes.perform([Write(Kind.UNCLAIM, given_up)], by_hand.holder)
    assert row_states() == {given_up: State.WAITING, kept: State.CLAIMED}
    assert (row(given_up).attempts, row(kept).attempts) == (0, 1)


def test_all_or_nothing_of_a_transaction_is_there(by_hand: OutboxWriter) -> None:
    kept = add(by_hand.holder)
    broken: Any = Write(Kind.BURY, kept.id, result=states.advance(kept, metadata={"it": object()}))
    with pytest.raises(TypeError):
        writes.perform([Write(Kind.REMOVE, kept.id), broken], by_hand.holder)
    with pytest.raises(TypeError):
        writes.perform([Write(Kind.RELEASE, kept.id), broken], by_hand.holder)
    assert row_states() == {kept.id: State.CLAIMED}


# --- Answers --------------------------------------------------------------------------------------


def test_who_waits_in_a_thread_is_told(caplog: pytest.LogCaptureFixture) -> None:
    value, error, late = (Write(Kind.CLAIM, "7", future=Future()) for _ in range(3))
    value.outcome, error.outcome = "a row", KeyError("bad")
    assert late.future is not None
    late.future.set_result("already")
    writes.answer([value, error, late, Write(Kind.RELEASE, "7")])
    told: list[Any] = [one.future for one in (value, error, late)]
    assert (told[0].result(0), told[2].result(0)) == ("a row", "already")
    assert told[1].exception(0) is error.outcome
    assert caplog.records == []


async def test_who_waits_on_a_loop_is_told_with_all_others_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = asyncio.get_running_loop()
    waiting = [
        Write(Kind.START, str(number), future=loop.create_future(), loop=loop)
        for number in range(3)
    ]
    for number, one in enumerate(waiting):
        one.outcome = number
    calls: list[Any] = []
    monkeypatch.setattr(loop, "call_soon_threadsafe", lambda *call: calls.append(call))
    writes.answer(waiting)
    assert calls == [(writes.settle_all, waiting)]
    writes.settle_all(waiting)
    told: list[Any] = [one.future for one in waiting]
    assert [one.result() for one in told] == [0, 1, 2]


def test_who_waited_on_a_loop_that_is_closed_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.new_event_loop()
    gone: list[Any] = [Write(Kind.START, "7", future=loop.create_future(), loop=loop) for _ in "ab"]
    loop.close()
    there = Write(Kind.CLAIM, "7", future=Future())
    writes.answer([*gone, there])
    assert [one.getMessage() for one in caplog.records] == [
        "2 tasks were written for a loop that is closed"
    ]
    assert there.future is not None
    assert there.future.done()


# --- Who waits ------------------------------------------------------------------------------------


def test_all_rows_of_a_caller_share_its_time(
    by_hand: OutboxWriter, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[float] = []

    def wait(_future: object, seconds: float) -> None:
        given.append(seconds)
        clock.seconds += 1

    monkeypatch.setattr(by_hand.runtime, "result_of", wait)
    rows = [NewRow(make()) for _ in range(4)]
    by_hand.put_rows(rows, 2.5)
    assert [(one.id, one.row) for one in by_hand.items()] == [(row.id, row) for row in rows]
    assert given == pytest.approx([2.5, 1.5, 0.5, 0.0])
    given.clear()
    ask: list[Any] = [
        lambda: by_hand.put_row(NewRow(make()), 3.0),
        lambda: by_hand.mark_sent([("7", LEASE)], 3.0),
        lambda: by_hand.claim("7", LEASE, 3.0),
        lambda: by_hand.claim_from("dead-", "7", LEASE, 3.0),
    ]
    for one in ask:
        one()
    assert given == pytest.approx([3.0] * 4)
    assert len(by_hand.items()) == 8


def test_who_waits_in_vain_is_told_for_how_long_and_why(
    by_hand: OutboxWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wait(*_: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(by_hand.runtime, "result_of", wait)
    by_hand.failure = ": it is away"
    with pytest.raises(OutboxUnavailable):
        by_hand.put_row(NewRow(make()), 1.5)
    with pytest.raises(OutboxUnavailable) as refused:
        by_hand.put_rows([NewRow(make()), NewRow(make())], 1.5)
    assert str(refused.value) == "The database did not take the task within 1.5 s: it is away."
    assert type(refused.value.__cause__) is TimeoutError
    assert [one.abandoned for one in by_hand.items()] == [True] * 3


@pytest.mark.parametrize("error", [IntegrityError("no such column"), KeyError("other")], ids=repr)
def test_who_is_refused_leaves_no_other_row(
    error: Exception, by_hand: OutboxWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wait(*_: object) -> None:
        raise error

    monkeypatch.setattr(by_hand.runtime, "result_of", wait)
    with pytest.raises((OutboxUnavailable, KeyError)) as refused:
        by_hand.put_rows([NewRow(make()), NewRow(make())], 1.5)
    if isinstance(error, IntegrityError):
        assert str(refused.value) == "The database refused the task: no such column"
        assert refused.value.__cause__ is error
    else:
        assert refused.value is error
    assert [one.abandoned for one in by_hand.items()] == [True, True]


async def test_a_coroutine_is_told_of_a_refusal(
    a_writer: OutboxWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_room, "perform", refuse)
    with pytest.raises(OutboxUnavailable) as refused:
        await a_writer.aput(NewRow(make()), PATIENCE)
    assert str(refused.value) == "The database refused the task: no such column"
    assert type(refused.value.__cause__) is IntegrityError


async def test_a_coroutine_waits_as_long_as_it_says(a_writer: OutboxWriter, gate: Gate) -> None:
    gate.close()
    a_writer.release("7")
    await asyncio.to_thread(gate.wait_for_knock)
    made = make()
    with pytest.raises(OutboxUnavailable, match=r"^The database did not take .* within 0\.05 s\.$"):
        await a_writer.aput(NewRow(made), 0.05)
    (_, asked) = a_writer.items()
    assert (asked.kind, asked.id, asked.abandoned) == (Kind.INSERT, made.id, True)
    gate.open()
    assert await asyncio.to_thread(a_writer.flush, PATIENCE)


async def test_a_coroutine_that_is_cancelled_has_given_up(
    a_writer: OutboxWriter, gate: Gate
) -> None:
    gate.close()
    a_writer.release("7")
    await asyncio.to_thread(gate.wait_for_knock)
    asking = [
        asyncio.create_task(a_writer.aput(NewRow(make()), PATIENCE)),
        asyncio.create_task(a_writer.astart("8", LEASE, 1)),
    ]
    await asyncio.sleep(0)
    for one in asking:
        one.cancel()
    await asyncio.wait(asking)
    assert all(one.cancelled() for one in asking)
    assert [one.abandoned for one in a_writer.items()] == [False, True, True]
    gate.open()
    assert await asyncio.to_thread(a_writer.flush, PATIENCE)


async def test_time_that_is_over_takes_nothing_from_who_was_told() -> None:
    loop = asyncio.get_running_loop()
    told = loop.create_future()
    told.set_result(None)
    writer: Any = object.__new__(OutboxWriter)  # it asks for nothing else
    OutboxWriter._expire(writer, Write(Kind.INSERT, "7", future=told, loop=loop), 1.0)
    OutboxWriter._expire(writer, Write(Kind.INSERT, "7"), 1.0)
    assert told.result() is None


def test_only_a_new_row_is_refused_when_too_many_wait(
    by_hand: OutboxWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_hand, "limit", 1)
    by_hand.release("7")
    by_hand.remove("8")
    with pytest.raises(OutboxUnavailable) as refused:
        by_hand.put_row(NewRow(make()), PATIENCE)
    assert str(refused.value) == "1 requests wait for the database already."
    assert pending(by_hand) == [(Kind.RELEASE, "7", 0), (Kind.REMOVE, "8", 0)]


def test_what_may_be_sent_was_held_and_has_its_own_lease(by_hand: OutboxWriter) -> None:
    one, other = add_many(2, by_hand.holder)
    lost = add("you").id
    asked = [(one, LEASE), (other, NEW), (lost, NEW), ("unknown", LEASE)]
    assert by_hand.mark_sent(asked, PATIENCE) == {one, other}
    assert (about(one, LEASE), about(other, NEW)) == (True, True)
    assert row_states() == {one: State.SENT, other: State.SENT, lost: State.CLAIMED}


def test_the_row_of_a_dead_process_is_claimed_for_a_lease(by_hand: OutboxWriter) -> None:
    orphan = add("dead-1").id
    assert by_hand.claim_from("another-", orphan, NEW, PATIENCE) is None
    claimed = by_hand.claim_from("dead-", orphan, NEW, PATIENCE)
    assert claimed is not None
    assert (claimed.pk, claimed.claimed_by) == (orphan, by_hand.holder)
    assert about(orphan, NEW)


def test_a_delivered_task_is_claimed_for_a_lease_which_is_renewed(
    by_hand: OutboxWriter, clock: HandClock
) -> None:
    task_id = add().id
    assert by_hand.until_due() is None
    claimed = by_hand.claim(task_id, NEW, PATIENCE)
    assert claimed is not None
    assert about(task_id, NEW)
    assert by_hand.until_due() == pytest.approx(NEW / 3)
    clock.seconds += NEW
    assert by_hand.until_due() == 0.0


async def test_an_attempt_is_counted_with_its_number_and_lease(
    a_writer: OutboxWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Any, ...]] = []

    def perform(those: list[Write], _holder: str) -> None:
        asked.extend((one.kind, one.id, one.seconds, one.attempt) for one in those)
        for one in those:
            one.outcome = True

    monkeypatch.setattr(writer_room, "perform", perform)
    assert await a_writer.astart("7", LEASE, 3) is True
    assert asked == [(Kind.START, "7", LEASE, 3)]


# --- Who does not wait ----------------------------------------------------------------------------


def test_what_has_ended_is_removed_or_kept(by_hand: OutboxWriter) -> None:
    ready = make()
    by_hand.settle(states.succeeded(ready, 1))
    by_hand.settle(states.failed(ready, TaskCancelled()))
    by_hand.settle(failed(ready))
    kinds = [kind for kind, task_id, _ in pending(by_hand) if task_id == ready.id]
    assert kinds == [Kind.REMOVE, Kind.REMOVE, Kind.BURY]


def test_errors_are_kept_with_their_row(by_hand: OutboxWriter) -> None:
    noted, postponed = add(by_hand.holder), add(by_hand.holder)
    by_hand.note_failure(failed(noted))
    by_hand.postpone(failed(postponed), NEW)
    asked = [(Kind.NOTE_FAILURE, noted.id, 0), (Kind.POSTPONE, postponed.id, 0)]
    assert pending(by_hand) == asked  # by these ids they are named in the log
    assert by_hand.flush(PATIENCE)
    assert row_states() == {noted.id: State.CLAIMED, postponed.id: State.WAITING}
    assert (about(noted.id, LEASE), about(postponed.id, NEW)) == (True, True)
    assert [len(row(one.id).errors) for one in (noted, postponed)] == [1, 1]


# --- Who gave up ----------------------------------------------------------------------------------

A_ROW: Any = object()


@pytest.mark.parametrize(
    ("kind", "outcome", "undone"),
    [
        (Kind.INSERT, None, Kind.WITHDRAW),
        (Kind.START, True, Kind.UNCOUNT),
        (Kind.START, False, None),
        (Kind.START, KeyError(), None),
        (Kind.CLAIM, A_ROW, Kind.UNCLAIM),
        (Kind.CLAIM, None, None),
        (Kind.SENT, True, None),
        (Kind.CLAIM_FROM, A_ROW, None),
    ],
)
def test_what_is_committed_for_who_gave_up_is_undone_once(
    kind: Kind, outcome: Any, undone: Kind | None, by_hand: OutboxWriter
) -> None:
    request = Write(kind, "7", attempt=3, outcome=outcome, committed=True)
    for _ in range(2):
        by_hand._abandon(request)
    expected = [] if undone is None else [(undone, "7", 3 if undone is Kind.UNCOUNT else 0)]
    assert pending(by_hand) == expected
    assert request.abandoned
    by_hand._pending.clear()


@pytest.mark.parametrize("kind", [Kind.INSERT, Kind.START, Kind.CLAIM])
def test_what_is_not_committed_has_nothing_to_undo(kind: Kind, by_hand: OutboxWriter) -> None:
    request = Write(kind, "7", outcome=True)
    by_hand._abandon(request)
    assert (pending(by_hand), request.abandoned) == ([], True)


@pytest.mark.parametrize(
    ("kind", "instead"),
    [
        (Kind.INSERT, Kind.WITHDRAW),
        (Kind.CLAIM, Kind.UNCLAIM),
        (Kind.START, Kind.UNCOUNT),
        (Kind.SENT, None),
        (Kind.CLAIM_FROM, None),
    ],
)
def test_of_what_was_given_up_only_what_may_be_there_is_undone(
    kind: Kind, instead: Kind | None
) -> None:
    asked = Write(kind, "7", attempt=3)
    assert still_wanted(asked) is asked
    asked.tried = True
    assert still_wanted(asked) is asked
    asked.abandoned = True
    undo = still_wanted(asked)
    if instead is None:
        assert undo is None
    else:
        assert undo is not None
        attempt = 3 if instead is Kind.UNCOUNT else 0
        assert (undo.kind, undo.id, undo.attempt) == (instead, "7", attempt)
    asked.tried = False
    assert still_wanted(asked) is None


# --- Batches and renewals -------------------------------------------------------------------------


def test_a_batch_is_written_but_for_what_nobody_wants(
    by_hand: OutboxWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Write] = []
    monkeypatch.setattr(
        writer_room, "perform", lambda those, holder: asked.extend([*those, holder])
    )
    wanted = Write(Kind.RELEASE, "7")
    given_up = Write(Kind.INSERT, "8", abandoned=True)
    batch = {one: one for one in (wanted, given_up)}
    by_hand.write(batch)
    assert asked == [wanted, by_hand.holder]
    assert batch == {}
    assert (wanted.committed, wanted.tried, given_up.committed) == (True, False, False)


def test_what_a_transaction_failed_with_may_be_there(
    by_hand: OutboxWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_room, "perform", refuse)
    batch = {one: one for one in (Write(Kind.RELEASE, "7"), Write(Kind.REMOVE, "8"))}
    with pytest.raises(IntegrityError):
        by_hand.write(batch)
    assert [(one.tried, one.committed) for one in batch] == [(True, False)] * 2


def test_who_gave_up_as_it_was_written_is_undone_and_who_did_not_is_not(
    by_hand: OutboxWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    late, kept = Write(Kind.INSERT, "7"), Write(Kind.INSERT, "8")

    def perform(*_: object) -> None:
        by_hand._abandon(late)

    monkeypatch.setattr(writer_room, "perform", perform)
    by_hand.write({late: late, kept: kept})
    assert pending(by_hand) == [(Kind.WITHDRAW, "7", 0)]
    by_hand._pending.clear()


def test_what_cannot_be_written_is_told_to_who_waits(by_hand: OutboxWriter) -> None:
    error = KeyError("bad")
    waiting, alone = Write(Kind.CLAIM, "7", future=Future()), Write(Kind.RELEASE, "8")
    for one in (waiting, alone):
        by_hand.fail(one, one, error)
        assert one.outcome is error
    assert waiting.future is not None
    assert waiting.future.exception() is error


def test_each_lease_of_a_batch_is_renewed_in_time(
    by_hand: OutboxWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    owned: set[float] = set()
    monkeypatch.setattr(by_hand, "own", owned.add)
    by_hand._finish(
        [
            Write(Kind.INSERT, "1", NewRow(make(), holder="me", lease=1.0)),
            Write(Kind.INSERT, "2", NewRow(make(), lease=2.0)),
            Write(Kind.START, "3", seconds=3.0),
            Write(Kind.SENT, "4", seconds=4.0),
        ]
    )
    assert owned == {1.0, 3.0}


def test_nothing_is_renewed_before_it_is_time(
    by_hand: OutboxWriter, work: Work, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    work.put(by_hand, LEASE)
    renewed: list[tuple[Any, ...]] = []

    def renew(ids: Any, holder: str, lease: float) -> int:
        renewed.append((set(ids), holder, lease))
        return len(ids)

    monkeypatch.setattr(claims, "renew", renew)
    clock.seconds += LEASE / 3 - 0.1
    assert by_hand.do_due() is True
    assert renewed == []
    work.leases["longer"] = NEW
    assert by_hand._renew_at == pytest.approx(clock.seconds + 0.1)
    clock.seconds = by_hand._renew_at
    assert by_hand.do_due() is True
    assert renewed == [(set(work.leases), by_hand.holder, NEW)]
    assert by_hand.until_due() == pytest.approx(LEASE / 3)


def test_nobody_asks_what_was_lost_when_all_was_renewed(
    by_hand: OutboxWriter, work: Work, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    held_by = claims.held_by

    def note(holder: str) -> set[str]:
        asked.append(holder)
        return held_by(holder)

    monkeypatch.setattr(claims, "held_by", note)
    lost = work.put(by_hand, LEASE)
    clock.seconds += LEASE / 3
    assert by_hand.do_due()
    assert asked == []
    change(lost, claimed_by="other")
    clock.seconds += LEASE / 3
    assert by_hand.do_due()
    assert asked == [by_hand.holder]


def test_a_database_that_is_away_is_asked_for_leases_again(
    by_hand: OutboxWriter,
    work: Work,
    clock: HandClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def away(*_: object) -> None:
        raise OperationalError("it is away")

    work.put(by_hand, LEASE)
    clock.seconds += LEASE / 3
    with monkeypatch.context() as patched:
        patched.setattr(claims, "renew", away)
        assert by_hand.do_due() is False
    assert by_hand.failure == ": it is away"
    assert [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING] == [
        "Leases cannot be renewed, will try again: OperationalError('it is away')"
    ]
    assert by_hand.until_due() == 0.0
    assert by_hand.step()
    assert by_hand.until_due() == pytest.approx(LEASE / 3)


def test_each_owner_hears_of_all_that_is_lost_in_one(
    by_hand: OutboxWriter, clock: HandClock, caplog: pytest.LogCaptureFixture
) -> None:
    owners = [Work(by_hand.runtime), Work(by_hand.runtime)]
    lost = [owners[0].put(by_hand, LEASE), owners[1].put(by_hand, LEASE)]
    kept = owners[1].put(by_hand, LEASE)
    for task_id in lost:
        change(task_id, claimed_by="other", available_at=After(LEASE))
    clock.seconds += LEASE / 3
    assert by_hand.do_due()
    assert [one.heard for one in owners] == [[set(lost)]] * 2
    assert "2 tasks were taken over while this process hung" in caplog.messages
    assert [list(one.leases) for one in owners] == [[], [kept]]


def test_what_begins_while_others_are_renewed_is_not_lost(
    by_hand: OutboxWriter, clock: HandClock
) -> None:
    class Beginning(Work):
        def owned(self) -> list[tuple[str, float]]:
            owned = super().owned()
            self.leases["begins only now"] = LEASE
            return owned

    lost = Work(by_hand.runtime).put(by_hand, LEASE)
    beginning = Beginning(by_hand.runtime)
    change(lost, claimed_by="other")
    clock.seconds += LEASE / 3
    assert by_hand.do_due()
    assert beginning.heard == [{lost}]


def test_only_a_task_that_this_process_has_buried_is_told(
    by_hand: OutboxWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[Any, ...]] = []
    monkeypatch.setattr(by_hand.runtime.part(Announcer), "announce", lambda *one: told.append(one))
    result = failed(make())
    by_hand._finish(
        [
            Write(Kind.BURY, "1", result=result, outcome=True),
            Write(Kind.BURY, "2", result=result, outcome=False),
            Write(Kind.BURY, "3", outcome=True),
            Write(Kind.POSTPONE, "4", result=result, outcome=True),
        ]
    )
    assert told == [("1", result)]


def test_only_a_database_that_is_away_is_waited_for(by_hand: OutboxWriter) -> None:
    assert by_hand.is_away(OperationalError("it is away"))
    assert not by_hand.is_away(IntegrityError("no such column"))


def test_what_is_inserted_elsewhere_is_renewed_in_time_for_the_shortest_lease(
    by_hand: OutboxWriter, clock: HandClock
) -> None:
    by_hand.own(NEW)
    assert by_hand.until_due() == pytest.approx(NEW / 3)
    by_hand.own(LEASE)
    assert by_hand.until_due() == pytest.approx(LEASE / 3)
    by_hand.own(NEW)
    assert by_hand.until_due() == pytest.approx(LEASE / 3)
    clock.seconds += LEASE / 3
    assert by_hand.do_due()  # the latest claim may still come to its owner
    assert by_hand.until_due() == pytest.approx(NEW / 3)
    clock.seconds += NEW
    assert by_hand.do_due()
    assert by_hand.until_due() is None
