"""Tasks that end the process in which they run, or have to be ended with it."""

import asyncio
import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded, WorkerLostError

from hybrid_tasks.execution import TaskContext
from hybrid_tasks.tasks import task
from tests.hybrid_tasks.tasks import LONG, at_once, broken, note


@task(takes_context=True)
def die_before(context: TaskContext, attempt: int) -> int:
    """Kill the process in each attempt before the given one."""
    note(context.task_result.id, "ran")
    if context.attempt < attempt:
        os.kill(os.getpid(), signal.SIGKILL)
    return context.attempt


@task(takes_context=True)
def hang_at_first(context: TaskContext) -> int:
    note(context.task_result.id, "ran")
    if context.attempt == 1:
        time.sleep(LONG)
    return context.attempt


@task(takes_context=True)
def wait_for_gate(context: TaskContext, gate: str) -> str:
    note(context.task_result.id, "ran")
    while not Path(gate).exists():
        time.sleep(0.05)
    return "done"


@task(max_attempts=2, backoff=broken)
def die_with_broken_backoff() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@task(takes_context=True)
def resist(context: TaskContext) -> None:
    """Ignore the soft time limit: only the hard one ends this."""
    note(context.task_result.id, "ran")
    began = time.monotonic()
    while time.monotonic() < began + LONG:
        with suppress(SoftTimeLimitExceeded):
            time.sleep(LONG)


@task(max_attempts=3, backoff=at_once, takes_context=True)
async def sleep_at_first(context: TaskContext) -> int:
    """Sleep for longer than any limit, but in the third attempt."""
    note(context.task_result.id, "ran")
    if context.attempt < 3:
        await asyncio.sleep(LONG)
    return context.attempt


@task(max_attempts=3, backoff=at_once, takes_context=True)
def sleep_at_first_sync(context: TaskContext) -> int:
    note(context.task_result.id, "ran")
    if context.attempt < 3:
        time.sleep(LONG)
    return context.attempt


ODD: dict[str, BaseException] = {
    "MemoryError": MemoryError("no more"),
    "KeyboardInterrupt": KeyboardInterrupt("no more"),
    "SystemExit": SystemExit("no more"),
    "Ignore": Ignore("no more"),
    "Reject": Reject("no more", requeue=True),
    "WorkerLostError": WorkerLostError("no more"),
}


@task
async def raise_odd(name: str) -> None:
    raise ODD[name]


@task
def raise_odd_sync(name: str) -> Any:
    raise ODD[name]


@task(takes_context=True)
def kill_worker(context: TaskContext) -> None:
    """Kill the whole worker: nobody there can tell of it."""
    note(context.task_result.id, "ran")
    os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
