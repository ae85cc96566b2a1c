"""Tasks that a test in the same process holds up, counts and lets misbehave."""

import asyncio
import threading
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any

from hybrid_tasks.execution import TaskContext
from hybrid_tasks.tasks import task
from tests.hybrid_tasks import tasks
from tests.processes import PATIENCE

runs: list[str] = []  # the ids of the tasks whose functions began, in order
gates: defaultdict[str, threading.Event] = defaultdict(threading.Event)  # for sync functions
passed: list[str] = []  # the gates that sync functions have passed
doors: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)  # for coroutines


def reset() -> None:
    for one in (runs, gates, passed, doors):
        one.clear()


@task(takes_context=True)
def wait_in_thread(context: TaskContext, gate: str) -> str:
    runs.append(context.task_result.id)
    assert gates[gate].wait(PATIENCE)
    passed.append(gate)
    return gate


@task(takes_context=True)
def save_late(context: TaskContext, gate: str) -> None:
    """Wait, then save metadata."""
    runs.append(context.task_result.id)
    assert gates[gate].wait(PATIENCE)
    context.metadata["late"] = True
    context.save_metadata()
    passed.append(gate)


@task(takes_context=True)
async def wait(context: TaskContext, door: str) -> str:
    runs.append(context.task_result.id)
    await doors[door].wait()
    return door


@task(takes_context=True)
async def resist(context: TaskContext, door: str) -> str:
    """Take no notice of being cancelled until the door is open."""
    runs.append(context.task_result.id)
    while not doors[door].is_set():
        try:
            await doors[door].wait()
        except asyncio.CancelledError:
            continue
    return "done"


@task(takes_context=True)
async def swallow(context: TaskContext, door: str) -> str:
    """Return when cancelled, as if nothing had been."""
    runs.append(context.task_result.id)
    try:
        await doors[door].wait()
    except asyncio.CancelledError:
        return "swallowed"
    return "not cancelled"


@task(max_attempts=3, backoff=tasks.at_once, takes_context=True)
async def fail_and_be_stopped(context: TaskContext, stop: str) -> None:
    """Fail; after the last step, before the loop's callbacks of it, `stops[stop]` is called."""
    runs.append(context.task_result.id)
    asyncio.get_running_loop().call_soon(partial(stops[stop], context.task_result.id))
    raise ValueError("not yet")


stops: dict[str, Callable[[str], Any]] = {}


@task(takes_context=True)
async def cancel_itself(context: TaskContext) -> str:
    """Be cancelled in the very first step."""
    backend: Any = context.task_result.task.get_backend()
    runs.append(context.task_result.id)
    await backend.acancel(context.task_result.id)
    await doors["nobody opens this one"].wait()
    return "not cancelled"
