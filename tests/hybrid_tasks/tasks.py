"""A catalogue of tasks for the tests, well-behaved and not.

They run in the test's process or in a worker's. Either tells what happened by the ledger: a file of
JSON lines that the variable LEDGER names.
"""

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from django.tasks import task as django_task
from django.tasks.base import TaskResult as DjangoTaskResult
from django.tasks.signals import task_finished, task_started

from hybrid_tasks.execution import TaskContext
from hybrid_tasks.tasks import task


def note(key: str, event: str, **details: Any) -> None:
    """Write a line into the ledger, if there is one; `key` is a task's id or a test's own word."""
    if path := os.environ.get("LEDGER"):
        with Path(path).open("a") as ledger:
            ledger.write(json.dumps({"key": key, "event": event, **details}) + "\n")


def note_started(task_result: DjangoTaskResult, **_kwargs: Any) -> None:
    note(task_result.id, "started", status=task_result.status)


def note_finished(task_result: DjangoTaskResult, **_kwargs: Any) -> None:
    note(task_result.id, "finished", status=task_result.status)


task_started.connect(note_started)
task_finished.connect(note_finished)


# --- Well-behaved --------------------------------------------------------------------------------


@task
async def echo(*args: Any, **kwargs: Any) -> Any:
    """Return what was given."""
    return {"args": args, "kwargs": kwargs}


@task
def echo_sync(*args: Any, **kwargs: Any) -> Any:
    """Return what was given, from a thread."""
    return {"args": args, "kwargs": kwargs}


@django_task
async def plain(value: Any) -> Any:
    return value


@django_task
def plain_sync(value: Any) -> Any:
    return value


@task(takes_context=True)
async def introduce_itself(context: TaskContext, greeting: str) -> dict[str, Any]:
    return {"id": context.task_result.id, "attempt": context.attempt, "greeting": greeting}


@task(takes_context=True)
def introduce_itself_sync(context: TaskContext, greeting: str) -> dict[str, Any]:
    return {"id": context.task_result.id, "attempt": context.attempt, "greeting": greeting}


@task(takes_context=True)
async def begin(context: TaskContext) -> None:
    note(context.task_result.id, "ran")


# --- Metadata ------------------------------------------------------------------------------------


@task(takes_context=True, metadata={"origin": "decorator", "progress": {"done": 0, "total": 2}})
async def report_progress(context: TaskContext, gate: str) -> dict[str, Any]:
    """Save progress, then wait until the file `gate` is there, then save the rest."""
    context.metadata["progress"] = {"done": 1, "total": 2, "note": "half of it"}
    await context.asave_metadata()
    while not Path(gate).exists():  # noqa: ASYNC110, ASYNC240 - the test may be another process
        await asyncio.sleep(0.02)
    context.metadata["progress"] = {"done": 2, "total": 2, "note": "all of it"}
    context.save_metadata()
    return context.metadata


@task(takes_context=True)
def report_progress_sync(context: TaskContext, gate: str) -> dict[str, Any]:
    context.metadata["progress"] = {"done": 1, "total": 2, "note": "half of it"}
    context.save_metadata()
    while not Path(gate).exists():
        time.sleep(0.02)
    return context.metadata


@task(takes_context=True, metadata={"progress": {"done": 0, "total": 1}})
async def change_nested_metadata(context: TaskContext) -> Any:
    """Return what `done` was, and count it up in place."""
    before = context.metadata["progress"]["done"]
    context.metadata["progress"]["done"] += 1
    await context.asave_metadata()
    return before


@task(takes_context=True)
async def save_unserialisable_metadata(context: TaskContext) -> None:
    context.metadata["thing"] = object()
    await context.asave_metadata()


# --- Failing -------------------------------------------------------------------------------------


class Unpicklable(Exception):
    """An exception that no copy can be made of, as pickle calls it with one argument."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


class Unprintable(Exception):
    """An exception that cannot be turned into text."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


@task
async def fail(message: str) -> None:
    raise ValueError(message)


@task
def fail_sync(message: str) -> None:
    raise ValueError(message)


@task
async def fail_unpicklably() -> None:
    raise Unpicklable("neither", "nor")


@task
async def fail_unprintably() -> None:
    raise Unprintable


@task
async def leave() -> None:
    sys.exit("that is it")


@task
def leave_sync() -> None:
    sys.exit("that is it")


@task
async def raise_cancelled() -> None:
    """End as if cancelled, though nobody asked."""
    raise asyncio.CancelledError


@task
async def return_unserialisable() -> object:
    return object()


@task
def return_unserialisable_sync() -> object:
    return object()


# --- Tried again ---------------------------------------------------------------------------------


def at_once(exception: BaseException, task_result: DjangoTaskResult) -> float:
    """Wait for no time; note what was given."""
    note(
        task_result.id,
        "backoff",
        exception=repr(exception),
        attempts=task_result.attempts,
        errors=len(task_result.errors),
    )
    return 0.0


def in_some_seconds(_exception: BaseException, _task_result: DjangoTaskResult) -> float:
    return 6.0  # enough to cancel what waits for that, though a machine hang meanwhile


def never(_exception: BaseException, _task_result: DjangoTaskResult) -> None:
    return None


def broken(_exception: BaseException, _task_result: DjangoTaskResult) -> float:
    raise ArithmeticError("the backoff is broken")


@task(max_attempts=3, backoff=at_once, takes_context=True)
async def succeed_at(context: TaskContext, attempt: int) -> int:
    """Fail before the given attempt."""
    if context.attempt < attempt:
        raise ValueError(f"attempt {context.attempt}")
    return context.attempt


@task(max_attempts=3, backoff=at_once, takes_context=True)
def succeed_at_sync(context: TaskContext, attempt: int) -> int:
    if context.attempt < attempt:
        raise ValueError(f"attempt {context.attempt}")
    return context.attempt


@task(max_attempts=3, backoff=never)
async def give_up() -> None:
    raise ValueError("once is enough")


@task(max_attempts=3, backoff=broken)
async def fail_with_broken_backoff() -> None:
    raise ValueError("an error")


@task(max_attempts=2, backoff=in_some_seconds)
async def fail_slowly() -> None:
    raise ValueError("not yet")


@task(max_attempts=2, backoff=at_once)
async def spoil_argument(items: list[str]) -> None:
    """Fail with what was given, having changed it."""
    items.append("spoilt")
    raise ValueError(f"items: {items}")


@task(max_attempts=3, backoff=at_once)
async def leave_each_time() -> None:
    sys.exit("that is it")


# --- Hanging -------------------------------------------------------------------------------------

LONG = 600.0  # seconds, more than any test has
LIMIT = 3.0  # seconds in which a function begins: a worker, and a loop, count what comes before it
NAP = 5.0  # seconds; nothing stops a thread that sleeps, so no longer


@task(takes_context=True)
async def hang(context: TaskContext) -> None:
    """Wait until cancelled; note that, and the clean-up."""
    key = context.task_result.id
    note(key, "ran")
    try:
        await asyncio.sleep(LONG)
    except asyncio.CancelledError:
        note(key, "cancelled")
        raise
    finally:
        note(key, "cleaned up")


@task
def nap() -> None:
    time.sleep(NAP)


@task(takes_context=True)
def nap_noting(context: TaskContext) -> None:
    note(context.task_result.id, "ran")
    time.sleep(NAP)


@task
async def hang_inside_timeout() -> None:
    """Raise a TimeoutError of its own, long before the task's."""
    async with asyncio.timeout(0.01):
        await asyncio.sleep(LONG)


@task(max_attempts=2, backoff=at_once, timeout=0.3, takes_context=True)
async def hang_at_first(context: TaskContext) -> int:
    if context.attempt == 1:
        await asyncio.sleep(LONG)
    return context.attempt


@task(max_attempts=2, backoff=at_once, timeout=LIMIT, takes_context=True)
def hang_at_first_sync(context: TaskContext) -> int:
    if context.attempt == 1:
        time.sleep(NAP)
    return context.attempt


@task(takes_context=True)
async def survive_cancellation(context: TaskContext) -> str:
    """Swallow the first cancellation and return."""
    note(context.task_result.id, "ran")
    try:
        await asyncio.sleep(LONG)
    except asyncio.CancelledError:
        return "survived"
    return "not cancelled"


# --- Sent by name --------------------------------------------------------------------------------


@task(backend="celery")
def scheduled(meat: str, *, sauce: str) -> dict[str, str]:
    return {"meat": meat, "sauce": sauce}


@task(backend="celery", durable=True)
def scheduled_durably(message: str) -> None:
    raise ValueError(message)
