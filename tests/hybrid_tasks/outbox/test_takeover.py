"""Rows that one process leaves and another takes over, on their event loops."""

import asyncio
import threading
from functools import partial
from typing import Any

import pytest
from django.db import IntegrityError
from django.tasks import TaskResultStatus
from pytest_django import Settings

from hybrid_tasks.backends import eventloop
from hybrid_tasks.backends.eventloop import serve
from hybrid_tasks.exceptions import TaskInterrupted
from hybrid_tasks.outbox import claims, inserts
from hybrid_tasks.outbox.clock import After
from hybrid_tasks.outbox.inserts import NewRow
from hybrid_tasks.relay import relaying
from hybrid_tasks.results import states
from hybrid_tasks.results.task_result import TaskResult
from tests.hybrid_tasks.contract.waiting import finished, until
from tests.hybrid_tasks.outbox import durable_tasks
from tests.hybrid_tasks.outbox.durable_tasks import gates, runs
from tests.hybrid_tasks.outbox.on_loop import (
    QUICK,
    backend,
    enqueue,
    running,
    settled,
    use,
)
from tests.hybrid_tasks.outbox.rows import LEASE, State, about, change, expire, make, row
from tests.hybrid_tasks.threads import in_thread
from tests.processes import PATIENCE

pytestmark = pytest.mark.usefixtures("database", "fresh_loop")


def leave(task: Any, attempts: int = 0) -> TaskResult:
    """Leave a row as a process does that dies."""
    result = make(task)
    inserts.insert([NewRow(result, holder="dead process", lease=LEASE)])
    expire(result.id)
    change(result.id, attempts=attempts)
    return result


async def test_what_a_dead_process_left_is_adopted() -> None:
    again = durable_tasks.count.using(max_attempts=2)
    left, begun = await in_thread(leave, durable_tasks.count), await in_thread(leave, again, 1)
    async with serve():
        await until(lambda: len(runs) == 2, "both run")
        assert (await finished(begun)).attempts == 2
        assert await settled() == {}
    assert set(runs) == {left.id, begun.id}
    assert begun.worker_ids[0] == states.UNSEEN_WORKER


async def test_what_has_no_attempt_left_is_a_dead_letter(dead: list[dict[str, Any]]) -> None:
    left = await in_thread(leave, durable_tasks.count, 1)
    async with serve():
        await until(lambda: dead, "the signal is sent")
    assert runs == []
    assert await settled() == {left.id: State.DEAD}
    assert dead[0]["task_id"] == left.id
    assert dead[0]["task_result"].errors[-1].exception_class is TaskInterrupted
    await left.arefresh()
    assert left.status == TaskResultStatus.FAILED


UNREADABLE = pytest.mark.parametrize("message", ["no JSON", "{}", None])


async def leave_unreadable(message: str | None, **values: Any) -> str:
    """Leave a row with this message, or with that of a task that nobody here has; return its id."""
    left = await in_thread(leave, durable_tasks.count)
    text = (await in_thread(row, left.id)).message
    message = message or text.replace("durable_tasks.count", "gone")
    await in_thread(partial(change, left.id, message=message, **values))
    return left.id


@UNREADABLE
async def test_what_cannot_be_read_is_left_to_those_who_can(
    message: str | None, dead: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    """Such as processes of the next version, which are started in these minutes."""
    left = await leave_unreadable(message)
    async with serve():
        await until(lambda: "cannot be run here, is tried later" in caplog.text, "it is told")
    assert await settled() == {left: State.WAITING}
    assert (await in_thread(row, left)).sends == 1
    assert await in_thread(about, left, relaying.ADOPTED_AGAIN * 2)
    assert dead == []


@UNREADABLE
async def test_what_nobody_could_read_for_long_is_a_dead_letter(
    message: str | None, dead: list[dict[str, Any]]
) -> None:
    left = await leave_unreadable(message, sends=relaying.UNKNOWN_SENDS - 1)
    async with serve():
        await until(lambda: dead, "the signal is sent")
    assert await settled() == {left: State.DEAD}
    assert (dead[0]["task_id"], dead[0]["task_result"]) == (left, None)
    assert len((await in_thread(row, left)).errors) == 1


async def test_what_finds_no_place_is_left_and_adopted_later(settings: Settings) -> None:
    use(settings, lease=QUICK, max_running=1, max_waiting=0)
    async with running() as result:
        crowded = await enqueue(durable_tasks.count)
        assert (await settled())[crowded.id] == State.WAITING
        gates["gate"].set()
        await finished(result)
        await until(lambda: crowded.id in runs, "it is adopted")
        assert await settled() == {}


async def test_what_is_adopted_by_a_process_that_stops_is_left_to_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left = await in_thread(leave, durable_tasks.wait_for)
    stopping = threading.Event()
    stops: list[asyncio.Event] = []
    adopt_until = eventloop.adopt_until

    async def adopt_noting(stop: asyncio.Event, *args: Any) -> None:
        stops.append(stop)
        await adopt_until(stop, *args)

    def adopt_late(*args: Any) -> list[TaskResult]:
        assert stopping.wait(PATIENCE)
        return relaying.adopt(*args)

    monkeypatch.setattr(eventloop, "adopt", adopt_late)
    monkeypatch.setattr(eventloop, "adopt_until", adopt_noting)
    monkeypatch.setattr(eventloop, "ADOPT_SECONDS", PATIENCE)
    serving = serve()
    await serving.__aenter__()
    stopped = asyncio.create_task(serving.__aexit__(None, None, None))
    await until(lambda: stops and stops[0].is_set(), "it has begun to stop")
    stopping.set()
    await stopped
    assert await settled() == {left.id: State.WAITING}


async def test_what_cannot_be_started_is_left_to_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise IntegrityError("no attempt can be counted")

    monkeypatch.setattr(claims, "start_held", refuse)
    # Or this process could be the one that takes it over.
    monkeypatch.setattr(eventloop, "adopt", lambda *_: [])
    async with serve():
        result = await enqueue(durable_tasks.count)
        await until(lambda: "cannot be started" in caplog.text, "it is told")
        assert await settled() == {result.id: State.WAITING}
    assert runs == []


async def test_what_another_process_has_taken_is_stopped_here(settings: Settings) -> None:
    use(settings, lease=QUICK)
    async with running() as result:
        await in_thread(partial(change, result.id, claimed_by="other", available_at=After(LEASE)))
        held = backend().local_result
        await until(lambda: held(result.id) is None, "it is stopped")
        assert await settled() == {result.id: State.CLAIMED}
        assert (await in_thread(row, result.id)).claimed_by == "other"


async def test_a_stop_leaves_what_is_left_to_others(settings: Settings) -> None:
    """What ran has lost its attempt; what waited has not."""
    use(settings, max_running=2)
    again = durable_tasks.wait_for.using(max_attempts=2)
    async with running("never") as last:
        more = await enqueue(again, "never")
        await until(lambda: more.id in runs, "both run")
        waiting = await enqueue(durable_tasks.count)
    there = await settled()
    assert there == {last.id: State.DEAD, more.id: State.WAITING, waiting.id: State.WAITING}
    attempts = [(await in_thread(row, one.id)).attempts for one in (last, more, waiting)]
    assert attempts == [1, 1, 0]
    assert "TaskInterrupted" in (await in_thread(row, more.id)).errors[0][0]
    async with serve():
        gates["never"].set()
        await until(lambda: {more.id, waiting.id} <= set(runs[2:]), "others run them")
        assert (await finished(more)).attempts == 2
