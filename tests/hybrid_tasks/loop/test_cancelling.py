"""Cancelling what is on its way to the loop, on it, or between two steps."""

import asyncio
from typing import Any

import pytest
from django.tasks import TaskResultStatus
from django.tasks.signals import task_finished
from pytest_django import Settings

from hybrid_tasks.backends.eventloop import serve
from hybrid_tasks.exceptions import TaskCancelled
from hybrid_tasks.loop import worker
from hybrid_tasks.results.task_result import TaskResult
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.contract.waiting import finished, until
from tests.hybrid_tasks.loop import misbehaving
from tests.hybrid_tasks.loop.misbehaving import doors, runs
from tests.hybrid_tasks.outbox.on_loop import backend, use
from tests.processes import PATIENCE

pytestmark = pytest.mark.usefixtures("only_loop")


def assert_cancelled(result: TaskResult) -> None:
    assert result.status == TaskResultStatus.FAILED
    assert result.errors[-1].exception_class is TaskCancelled


@pytest.fixture
def ends() -> Any:
    """The ids that `task_finished` has told, in order."""
    told: list[str] = []

    def note(task_result: TaskResult, **_kwargs: Any) -> None:
        told.append(task_result.id)

    task_finished.connect(note)
    yield told
    task_finished.disconnect(note)


async def test_what_a_thread_has_just_enqueued_can_be_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """C9: it lies in the worker's inbox for the head start of its request."""
    monkeypatch.setattr(worker, "HEAD_START", PATIENCE)

    def enqueue_and_cancel() -> tuple[Any, bool]:
        result = misbehaving.wait.enqueue("closed")
        return result, backend().cancel(result.id)

    async with serve():
        result, cancelled = await asyncio.to_thread(enqueue_and_cancel)
        assert cancelled
        assert_cancelled(await finished(result))
    assert runs == []
    assert result.attempts == 0


async def test_what_a_thread_has_just_enqueued_can_be_cancelled_from_the_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """C9: from the loop, too, with a coroutine or without."""
    monkeypatch.setattr(worker, "HEAD_START", PATIENCE)  # a busy machine hangs between the two
    async with serve():
        for cancel in (backend().acancel, lambda one: asyncio.to_thread(backend().cancel, one)):
            result: Any = await asyncio.to_thread(misbehaving.wait.enqueue, "closed")
            assert await cancel(result.id)
            assert_cancelled(await finished(result))
    assert runs == []


async def test_without_a_server_what_is_just_enqueued_can_be_cancelled() -> None:
    """C9: a private loop has a thread of its own."""

    def enqueue_and_cancel() -> tuple[Any, bool]:
        result = misbehaving.wait.enqueue("closed")
        return result, backend().cancel(result.id)

    result, cancelled = await asyncio.to_thread(enqueue_and_cancel)
    assert cancelled
    assert_cancelled(await finished(result))


async def test_cancelled_between_a_failed_attempt_and_the_next_it_ends(ends: list[str]) -> None:
    """C6: cancel said True, and the task ran twice more and ended twice."""
    answers: list[bool] = []
    misbehaving.stops["cancel"] = lambda task_id: answers.append(backend().cancel(task_id))
    async with serve():
        result: Any = await misbehaving.fail_and_be_stopped.aenqueue("cancel")
        assert_cancelled(await finished(result))
        other: Any = await tasks.plain.aenqueue(1)
        await finished(other)
        await until(lambda: other.id in ends, "the other's end is told")
    assert answers == [True]
    assert runs == [result.id]
    assert ends == [result.id, other.id]
    assert result.attempts == 1


async def test_a_swallowed_cancellation_is_a_cancellation() -> None:
    """P8: the task returns a value; who cancelled was told that it is cancelled."""
    async with serve():
        result: Any = await misbehaving.swallow.aenqueue("closed")
        await until(lambda: runs, "it runs")
        assert await backend().acancel(result.id)
        assert_cancelled(await finished(result))


async def test_who_resists_for_a_while_has_been_cancelled_all_the_same() -> None:
    """P8: whatever it does with its cancellation, and however long that takes."""
    async with serve():
        result: Any = await misbehaving.resist.aenqueue("door")
        await until(lambda: runs, "it runs")
        assert await backend().acancel(result.id)
        assert not await backend().acancel(result.id)
        doors["door"].set()
        assert_cancelled(await finished(result))


@pytest.mark.parametrize("eager", [False, True], ids=["ordinary", "eager"])
async def test_a_task_may_cancel_itself_in_its_first_step(
    eager: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """P6: with eager tasks it runs before the runner knows its asyncio task; a KeyError."""
    loop = asyncio.get_running_loop()
    loop.set_task_factory(asyncio.eager_task_factory if eager else None)
    async with serve():
        result: Any = await misbehaving.cancel_itself.aenqueue()
        assert_cancelled(await finished(result))
        other: Any = await tasks.plain.aenqueue(1)
        assert (await finished(other)).return_value == 1
    assert "KeyError" not in caplog.text


async def test_places_are_free_again_after_cancelling(settings: Settings) -> None:
    """C6, C9: with room for one, the next one starts."""
    use(settings, max_running=1, max_waiting=1)
    async with serve():
        first: Any = await misbehaving.wait.aenqueue("closed")
        second: Any = await misbehaving.wait.aenqueue("closed")
        for result in (second, first):
            assert await backend().acancel(result.id)
        third: Any = await tasks.plain.aenqueue(3)
        assert (await finished(third)).return_value == 3
    assert second.id not in runs
