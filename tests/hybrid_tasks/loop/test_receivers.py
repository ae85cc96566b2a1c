"""Receivers of Django's signals, whatever they are and do, harm no task on the loop."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.tasks import TaskResultStatus
from django.tasks.signals import task_enqueued, task_finished, task_started

from hybrid_tasks.backends.eventloop import serve
from hybrid_tasks.results.task_result import TaskResult
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.contract.waiting import finished, until
from tests.hybrid_tasks.outbox import durable_tasks
from tests.hybrid_tasks.outbox.on_loop import backend, enqueue, settled

pytestmark = pytest.mark.usefixtures("only_loop")

SIGNALS = {"enqueued": task_enqueued, "started": task_started, "finished": task_finished}

every_signal = pytest.mark.parametrize("name", SIGNALS)


@contextmanager
def receiving(name: str, receiver: Any) -> Iterator[None]:
    SIGNALS[name].connect(receiver)
    try:
        yield
    finally:
        SIGNALS[name].disconnect(receiver)


@every_signal
@pytest.mark.parametrize("durable", [False, True], ids=["ordinary", "durable"])
async def test_an_async_receiver_hears_of_every_task(name: str, durable: bool) -> None:
    """C4: on `task_started` tasks never ran, and on `task_finished` durable rows stayed."""
    told: list[str] = []

    async def note(task_result: TaskResult, **_kwargs: Any) -> None:
        await asyncio.sleep(0)
        told.append(task_result.id)

    with receiving(name, note):
        async with serve():
            task: Any = tasks.plain
            result = await enqueue(task.using(durable=durable), "ribs")
            assert (await finished(result)).return_value == "ribs"
            await until(lambda: told == [result.id], "it was told")
            assert await settled() == {}


async def raise_later(**_kwargs: Any) -> None:
    await asyncio.sleep(0)
    raise ValueError("a receiver's own trouble")


async def raise_at_once(**_kwargs: Any) -> None:
    raise ValueError("a receiver's own trouble")


def raise_sync(**_kwargs: Any) -> None:
    raise ValueError("a receiver's own trouble")


@every_signal
@pytest.mark.parametrize("receiver", [raise_later, raise_at_once, raise_sync])
async def test_a_receiver_that_raises_is_logged(
    name: str, receiver: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """C4: nothing that it raises reaches the task, its caller or the loop."""
    with receiving(name, receiver):
        async with serve():
            result = await enqueue(durable_tasks.count)
            assert (await finished(result)).status == TaskResultStatus.SUCCESSFUL
            await until(lambda: "a receiver's own trouble" in caplog.text, "it is logged")
            assert await settled() == {}
    assert "Task exception was never retrieved" not in caplog.text


@every_signal
async def test_an_async_receiver_that_never_returns_holds_nothing_up(name: str) -> None:
    """C4: it runs beside the task."""
    door = asyncio.Event()

    async def hang(**_kwargs: Any) -> None:
        await door.wait()

    with receiving(name, hang):
        async with serve():
            results = [await enqueue(tasks.plain, number) for number in range(3)]
            assert [(await finished(one)).return_value for one in results] == [0, 1, 2]
    door.set()


async def test_sync_code_tells_async_receivers_before_it_returns() -> None:
    """C4: where no loop runs, as Django does."""
    told: list[str] = []

    async def note(task_result: TaskResult, **_kwargs: Any) -> None:
        told.append(task_result.id)

    def enqueue() -> tuple[str, list[str]]:
        return tasks.plain.enqueue(1).id, list(told)

    with receiving("enqueued", note):
        async with serve():
            task_id, at_once = await asyncio.to_thread(enqueue)
    assert at_once == [task_id]


async def test_a_receiver_may_refresh_what_it_is_told() -> None:
    """What it holds is a copy: threads here write the other while it changes."""
    held: list[TaskResult] = []

    def note(task_result: TaskResult, **_kwargs: Any) -> None:
        held.append(task_result)

    with receiving("started", note):
        async with serve():
            result = await enqueue(tasks.hang)
            await until(lambda: held, "it has started")
            theirs = backend().local_result(result.id)
            assert theirs is not None
            assert theirs is not held[0]
            assert theirs is not result
            await backend().acancel(result.id)
            await finished(result)
