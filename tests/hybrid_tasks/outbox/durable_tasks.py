"""Durable tasks that a test in the same process can hold up and count."""

import asyncio
from collections import defaultdict

from hybrid_tasks.execution import TaskContext
from hybrid_tasks.tasks import task
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.outbox.rows import LEASE

runs: list[str] = []  # the ids of the tasks that began, in order
gates: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)


def after_a_lease(_exception: BaseException, _task_result: object) -> float:
    return LEASE


@task(durable=True, takes_context=True)
async def count(context: TaskContext) -> None:
    runs.append(context.task_result.id)


@task(durable=True, takes_context=True)
async def wait_for(context: TaskContext, gate: str) -> str:
    runs.append(context.task_result.id)
    await gates[gate].wait()
    return gate


@task(durable=True, max_attempts=3, backoff=tasks.at_once, takes_context=True)
async def fail_until(context: TaskContext, attempt: int) -> int:
    runs.append(context.task_result.id)
    if context.attempt < attempt:
        raise ValueError(f"attempt {context.attempt}")
    return context.attempt


@task(durable=True, max_attempts=3, backoff=after_a_lease)
async def fail_and_wait() -> None:
    raise ValueError("not yet")


@task(durable=True, max_attempts=3, backoff=tasks.never)
async def give_up() -> None:
    raise ValueError("once is enough")
