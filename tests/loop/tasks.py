"""Tasks that leave a trace in the ledger."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager

from django.contrib.contenttypes.models import ContentType

from hybrid_tasks.execution import TaskContext
from hybrid_tasks.tasks import task
from tests.loop.ledger import gate_beside, note

# What the loop leaves to a worker need not take that long again.
SCALE = float(os.environ.get("SECONDS_SCALE", "1"))


@contextmanager
def noted(context: TaskContext) -> Iterator[None]:
    """Note the start and, unless an exception ends it, the end."""
    who = context.task_result.worker_ids[-1]
    note("start", context.task_result.id, who)
    yield
    note("end", context.task_result.id, who)


@task(takes_context=True)
async def wait(context: TaskContext, seconds: float) -> None:
    with noted(context):
        await asyncio.sleep(seconds * SCALE)


@task(takes_context=True, max_attempts=3)
async def wait_again(context: TaskContext, seconds: float) -> None:
    """Wait; when interrupted, start over elsewhere."""
    with noted(context):
        await asyncio.sleep(seconds * SCALE)


async def pass_gate(seconds: float) -> None:
    """Wait until the test opens the gate; look every so many seconds."""
    gate = gate_beside(os.environ["LEDGER"])
    while not gate.exists():  # noqa: ASYNC110 - the test is another process
        await asyncio.sleep(seconds)


@task(takes_context=True)
async def wait_for_gate(context: TaskContext, seconds: float) -> None:
    with noted(context):
        await pass_gate(seconds)


@task(takes_context=True)
async def use_database(context: TaskContext, seconds: float) -> None:
    with noted(context):
        await ContentType.objects.acount()
        await asyncio.sleep(seconds)
        await pass_gate(seconds)
        await ContentType.objects.acount()


BY_NAME = {
    "wait": wait,
    "wait_again": wait_again,
    "wait_for_gate": wait_for_gate,
    "use_database": use_database,
}
