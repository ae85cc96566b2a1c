"""Durable tasks that tell the ledger of each of their attempts."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from hybrid_tasks.execution import TaskContext
from hybrid_tasks.results.task_result import TaskResult
from hybrid_tasks.tasks import Task, task
from tests.faults.journal import record
from tests.loop.tasks import SCALE


def soon(_error: BaseException, _result: TaskResult) -> float:
    return 0.1


@contextmanager
def attempt(context: TaskContext, name: str) -> Iterator[None]:
    """Record the start, and the end or that the attempt was cut off."""
    task_id = context.task_result.id
    record("start", task_id, name)
    try:
        yield
    except BaseException:
        record("cut", task_id, name)
        raise
    record("end", task_id, name)


@task(takes_context=True)
async def plain(context: TaskContext, seconds: float) -> None:
    """Not durable: its row is made when the broker is away."""
    with attempt(context, "plain"):
        await asyncio.sleep(seconds * SCALE)


@task(takes_context=True, durable=True)
async def once(context: TaskContext, seconds: float) -> None:
    with attempt(context, "once"):
        await asyncio.sleep(seconds * SCALE)


@task(takes_context=True, durable=True, max_attempts=3, backoff=soon)
async def again(context: TaskContext, seconds: float) -> None:
    with attempt(context, "again"):
        await asyncio.sleep(seconds * SCALE)


@task(takes_context=True, durable=True, max_attempts=3, backoff=soon)
async def poison(context: TaskContext, _seconds: float) -> None:
    """Kill the process that runs it."""
    with attempt(context, "poison"):
        record("kill", str(os.getpid()), "poison")
        os.kill(os.getpid(), signal.SIGKILL)


BY_NAME: dict[str, Task[[float], None]] = {
    "plain": plain,
    "once": once,
    "again": again,
    "poison": poison,
}
