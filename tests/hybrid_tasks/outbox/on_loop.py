"""Durable tasks on the loop of this process: how tests enqueue them and look at their rows."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from django.tasks import task_backends
from pytest_django import Settings

from hybrid_tasks.backends.eventloop import EventLoopBackend, serve
from hybrid_tasks.outbox.writer import writer
from hybrid_tasks.results.task_result import TaskResult
from hybrid_tasks.tasks import Task
from tests.hybrid_tasks.contract.waiting import until
from tests.hybrid_tasks.outbox import durable_tasks
from tests.hybrid_tasks.outbox.durable_tasks import runs
from tests.hybrid_tasks.outbox.rows import LEASE, row_states
from tests.hybrid_tasks.threads import in_thread
from tests.processes import PATIENCE

QUICK = 3.0  # seconds of lease: what is left is adopted each second


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


def backend() -> EventLoopBackend:
    found = task_backends["default"]
    assert isinstance(found, EventLoopBackend)
    return found


async def cancel(result: TaskResult) -> bool:
    return await backend().acancel(result.id)


async def settled() -> dict[str, str]:
    """Return the rows when all that was asked for is written."""
    assert await asyncio.to_thread(writer().flush, PATIENCE)
    there: dict[str, str] = await in_thread(row_states)
    return there


@asynccontextmanager
async def running(gate: str = "gate", task: Task = durable_tasks.wait_for) -> AsyncIterator[Any]:
    """A task that waits for `gate`, while the loop serves."""
    async with serve():
        result = await task.aenqueue(gate)
        await until(lambda: result.id in runs, "it runs")
        yield result
