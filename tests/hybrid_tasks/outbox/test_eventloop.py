"""Durable tasks on the event loop of this process."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.tasks import TaskResultStatus
from django.utils import timezone
from pytest_django import Settings

from hybrid_tasks import outbox, results
from hybrid_tasks.backends.base import hybrid_backend
from hybrid_tasks.backends.eventloop import serve
from hybrid_tasks.exceptions import TaskCancelled, TaskInterrupted
from hybrid_tasks.execution import then_close
from hybrid_tasks.outbox import NewRow
from hybrid_tasks.outbox_writer import writer
from hybrid_tasks.results import TaskResult
from hybrid_tasks.signals import task_dead
from hybrid_tasks.tasks import Task
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.contract.waiting import finished, refreshed_until, until
from tests.hybrid_tasks.outbox import durable_tasks
from tests.hybrid_tasks.outbox.durable_tasks import gates, runs
from tests.hybrid_tasks.outbox.rows import LEASE, State, about, change, expire, make, row, states
from tests.processes import PATIENCE

pytestmark = pytest.mark.usefixtures("database")

QUICK = 3.0  # seconds of lease: what is left is adopted each second


@pytest.fixture(autouse=True)
def _fresh(settings: Settings) -> None:
    runs.clear()
    gates.clear()
    use(settings)


@pytest.fixture
def dead() -> Iterator[list[dict[str, Any]]]:
    """What the signal `task_dead` told."""
    heard: list[dict[str, Any]] = []

    def hear(**told: Any) -> None:
        heard.append(told)

    task_dead.connect(hear)
    yield heard
    task_dead.disconnect(hear)


def use(settings: Settings, **options: Any) -> None:
    settings.TASKS = {
        "default": {
            "BACKEND": "hybrid_tasks.backends.eventloop.EventLoopBackend",
            "OPTIONS": {"lease": LEASE, "drain_timeout": 0, **options},
        }
    }


async def enqueue(task: Any, *args: Any) -> TaskResult:
    result: TaskResult = await task.aenqueue(*args)
    return result


async def cancel(result: TaskResult) -> bool:
    cancelled: bool = await hybrid_backend("default").acancel(result.id)
    return cancelled


async def read(function: Any, *args: Any) -> Any:
    """Call a function that reads the table."""
    return await asyncio.to_thread(then_close, partial(function, *args))


async def settled() -> dict[str, str]:
    """Return the rows when all that was asked for is written."""
    assert await asyncio.to_thread(writer.flush, PATIENCE)
    there: dict[str, str] = await read(states)
    return there


@asynccontextmanager
async def running(gate: str = "gate", task: Task = durable_tasks.wait_for) -> AsyncIterator[Any]:
    """A task that waits for `gate`, while the loop serves."""
    async with serve():
        result = await task.aenqueue(gate)
        await until(lambda: result.id in runs, "it runs")
        yield result


async def test_the_row_is_there_until_the_task_has_succeeded() -> None:
    async with running() as result:
        assert await read(states) == {result.id: State.CLAIMED}
        assert (await read(row, result.id)).claimed_by == writer.holder
        assert (await read(row, result.id)).attempts == 1
        gates["gate"].set()
        assert (await finished(result)).return_value == "gate"
        assert await settled() == {}
    assert runs == [result.id]


async def test_sync_code_finds_its_row_committed() -> None:
    def enqueue() -> tuple[Any, dict[str, str]]:
        return durable_tasks.wait_for.enqueue("gate"), states()

    async with serve():
        result, there = await read(enqueue)
        assert there == {result.id: State.CLAIMED}
        gates["gate"].set()
        assert (await finished(result)).status == TaskResultStatus.SUCCESSFUL
        assert await settled() == {}


def enqueue_in_transaction(*, regret: bool) -> Any:
    with transaction.atomic(outbox.alias()):
        result = durable_tasks.count.enqueue()
        assert states() == {result.id: State.CLAIMED}
        transaction.set_rollback(regret, outbox.alias())
    return result


async def test_a_row_is_committed_with_its_callers_transaction() -> None:
    async with serve():
        result = await read(partial(enqueue_in_transaction, regret=False))
        assert (await finished(result)).status == TaskResultStatus.SUCCESSFUL
        assert await settled() == {}
    assert runs == [result.id]


async def test_a_rollback_takes_the_task_along() -> None:
    async with serve():
        await read(partial(enqueue_in_transaction, regret=True))
        assert await settled() == {}
        later = await enqueue(durable_tasks.count)
        await finished(later)
    assert runs == [later.id]


async def test_an_ordinary_task_has_no_row() -> None:
    async with serve():
        result = await enqueue(tasks.hang)
        assert await settled() == {}
        assert await cancel(result)


async def test_a_failure_becomes_a_dead_letter(dead: list[dict[str, Any]]) -> None:
    async with serve():
        result = await finished(await enqueue(durable_tasks.fail_until, 9))
        assert (result.status, result.attempts) == (TaskResultStatus.FAILED, 3)
        assert await settled() == {result.id: State.DEAD}
        found = await read(row, result.id)
        told = await until(lambda: dead, "the signal is sent")
    assert [path for path, _ in found.errors] == ["builtins.ValueError"] * 3
    assert "attempt 3" in found.errors[-1][1]
    assert found.attempts == 3
    assert [(one["task_id"], one["task_result"].status) for one in told] == [
        (result.id, TaskResultStatus.FAILED)
    ]
    assert told[0]["sender"] is outbox.model()


async def test_a_dead_letter_can_be_run_again(settings: Settings) -> None:
    use(settings, lease=QUICK)
    async with serve():
        result = await enqueue(durable_tasks.give_up)
        await finished(result)
        assert await settled() == {result.id: State.DEAD}
        await read(outbox.revive, [result.id])
        await refreshed_until(result, lambda it: len(it.errors) == 2, "it has failed again")
        assert await settled() == {result.id: State.DEAD}


async def test_retries_keep_the_row_with_its_errors() -> None:
    async with serve():
        result = await enqueue(durable_tasks.fail_and_wait)
        await refreshed_until(result, lambda it: it.errors, "the first attempt fails")
        assert await settled() == {result.id: State.CLAIMED}
        found = await read(row, result.id)
        assert (found.attempts, len(found.errors)) == (1, 1)
        assert await cancel(result)
        assert await settled() == {}


async def test_a_retry_that_succeeds_removes_the_row(dead: list[dict[str, Any]]) -> None:
    async with serve():
        result = await finished(await enqueue(durable_tasks.fail_until, 3))
        assert result.return_value == 3
        assert await settled() == {}
    assert dead == []


async def test_a_backoff_of_none_is_the_end(dead: list[dict[str, Any]]) -> None:
    async with serve():
        result = await finished(await enqueue(durable_tasks.give_up))
        assert await settled() == {result.id: State.DEAD}
        assert (await read(row, result.id)).attempts == 1
        await until(lambda: dead, "the signal is sent")


async def test_what_is_cancelled_leaves_no_row(settings: Settings) -> None:
    use(settings, max_running=1)
    async with running() as result:
        waiting = await enqueue(durable_tasks.count)
        for one in (waiting, result):
            assert await cancel(one)
            await finished(one)
            assert one.errors[-1].exception_class is TaskCancelled
        assert await settled() == {}
    assert waiting.id not in runs


async def test_what_is_scheduled_can_be_cancelled() -> None:
    later = durable_tasks.count.using(run_after=timezone.now() + timedelta(hours=1))
    async with serve():
        result = await enqueue(later)
        assert await read(states) == {result.id: State.WAITING}
        assert await read(about, result.id, 3600)
        assert await cancel(result) is True
        assert await settled() == {}
        await finished(result)
        assert result.errors[-1].exception_class is TaskCancelled
        assert await cancel(result) is False


async def test_what_is_scheduled_runs_when_the_database_says_so(settings: Settings) -> None:
    """Though by this process's clock it is an hour early."""
    use(settings, lease=QUICK)
    later = durable_tasks.count.using(run_after=timezone.now() + timedelta(hours=1))
    async with serve():
        result = await enqueue(later)
        await read(expire, result.id)
        assert (await finished(result)).attempts == 1
        assert await settled() == {}
    assert runs == [result.id]


def leave(task: Any, attempts: int = 0) -> TaskResult:
    """Leave a row as a process does that dies."""
    result = make(task)
    outbox.insert([NewRow(result, holder="dead process", lease=LEASE)])
    expire(result.id)
    change(result.id, attempts=attempts)
    return result


async def test_what_a_dead_process_left_is_adopted() -> None:
    again = durable_tasks.count.using(max_attempts=2)
    left, begun = await read(leave, durable_tasks.count), await read(leave, again, 1)
    async with serve():
        await until(lambda: len(runs) == 2, "both run")
        assert (await finished(begun)).attempts == 2
        assert await settled() == {}
    assert set(runs) == {left.id, begun.id}
    assert begun.worker_ids[0] == results.UNSEEN_WORKER


async def test_what_has_no_attempt_left_is_a_dead_letter(dead: list[dict[str, Any]]) -> None:
    left = await read(leave, durable_tasks.count, 1)
    async with serve():
        await until(lambda: dead, "the signal is sent")
    assert runs == []
    assert await settled() == {left.id: State.DEAD}
    assert dead[0]["task_id"] == left.id
    assert dead[0]["task_result"].errors[-1].exception_class is TaskInterrupted
    await left.arefresh()
    assert left.status == TaskResultStatus.FAILED


@pytest.mark.parametrize("message", ["no JSON", None])
async def test_what_cannot_be_read_is_a_dead_letter(
    dead: list[dict[str, Any]], message: str | None
) -> None:
    left = await read(leave, durable_tasks.count)
    text = (await read(row, left.id)).message
    await read(
        partial(change, left.id, message=message or text.replace("durable_tasks.count", "gone"))
    )
    async with serve():
        await until(lambda: dead, "the signal is sent")
    assert await settled() == {left.id: State.DEAD}
    assert (dead[0]["task_id"], dead[0]["task_result"]) == (left.id, None)
    assert len((await read(row, left.id)).errors) == 1


async def test_what_finds_no_place_is_left_and_adopted_later(settings: Settings) -> None:
    use(settings, lease=QUICK, max_running=1, max_waiting=0)
    async with running() as result:
        crowded = await enqueue(durable_tasks.count)
        assert (await settled())[crowded.id] == State.WAITING
        gates["gate"].set()
        await finished(result)
        await until(lambda: crowded.id in runs, "it is adopted")
        assert await settled() == {}


async def test_what_cannot_be_started_is_left_to_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise IntegrityError("no attempt can be counted")

    monkeypatch.setattr(outbox, "start_held", refuse)
    async with serve():
        result = await enqueue(durable_tasks.count)
        await until(lambda: "cannot be started" in caplog.text, "it is told")
        assert await settled() == {result.id: State.WAITING}
    assert runs == []


async def test_what_another_process_has_taken_is_stopped_here(settings: Settings) -> None:
    use(settings, lease=QUICK)
    async with running() as result:
        await read(partial(change, result.id, claimed_by="other", available_at=outbox.after(LEASE)))
        held = hybrid_backend("default").local_result
        await until(lambda: held(result.id) is None, "it is stopped")
        assert await settled() == {result.id: State.CLAIMED}
        assert (await read(row, result.id)).claimed_by == "other"


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
    attempts = [(await read(row, one.id)).attempts for one in (last, more, waiting)]
    assert attempts == [1, 1, 0]
    assert "TaskInterrupted" in (await read(row, more.id)).errors[0][0]
    async with serve():
        gates["never"].set()
        await until(lambda: {more.id, waiting.id} <= set(runs[2:]), "others run them")
        assert (await finished(more)).attempts == 2
