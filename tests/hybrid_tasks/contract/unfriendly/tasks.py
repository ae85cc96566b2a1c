"""Tasks that return, raise and answer what nobody expects; they run in a worker or a test."""

import asyncio
import sys
from typing import Any

from django.tasks.signals import task_enqueued, task_finished, task_started

from hybrid_tasks.execution import TaskContext
from hybrid_tasks.tasks import task
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.contract.unfriendly.backoffs import BROKEN, SOUND, at_once, to_far_away
from tests.hybrid_tasks.contract.unfriendly.errors import RAISED
from tests.hybrid_tasks.contract.unfriendly.values import by_name

# --- Values --------------------------------------------------------------------------------------


@task
async def give(name: str) -> Any:
    return by_name(name)


@task
def give_sync(name: str) -> Any:
    return by_name(name)


@task(takes_context=True)
async def save(context: TaskContext, name: str) -> str:
    """Save metadata of that name."""
    context.metadata["value"] = by_name(name)
    await context.asave_metadata()
    return "saved"


@task(takes_context=True)
def keep(context: TaskContext, name: str) -> str:
    """Leave metadata of that name, without saving it."""
    context.metadata["value"] = by_name(name)
    return "kept"


@task
async def take_apart(value: Any) -> str:
    """Spoil what was given, at every depth."""
    while isinstance(value, list) and value:
        value, _ = value.pop(), value.append("spoilt")
    return "spoilt"


@task(takes_context=True)
async def spoil_its_result(context: TaskContext) -> str:
    """Do to its own result what refreshing does: change it in place."""
    for name in ("worker_ids", "errors", "enqueued_at", "status", "metadata"):
        object.__setattr__(context.task_result, name, None)
    return "spoilt"


# --- Exceptions ----------------------------------------------------------------------------------


@task
async def fail(name: str) -> None:
    raise RAISED[name]()


@task
def fail_sync(name: str) -> None:
    raise RAISED[name]()


@task(max_attempts=2, backoff=at_once)
async def fail_twice(name: str) -> None:
    raise RAISED[name]()


# --- Backoffs ------------------------------------------------------------------------------------


@task(max_attempts=3)
async def try_again() -> None:
    raise ValueError("not yet")


@task(max_attempts=3)
def try_again_sync() -> None:
    raise ValueError("not yet")


class Later:
    """A backoff that is called as a function, and has to be awaited."""

    async def __call__(self, *_: Any) -> float:
        return 0.0


later: Any = Later()


@task(max_attempts=3, backoff=later)
async def try_again_later() -> None:
    raise ValueError("not yet")


def trying(name: str, kind: Any = try_again) -> Any:
    """Return a task with a backoff of that name."""
    return kind.using(backoff=BROKEN[name][0] if name in BROKEN else SOUND[name])


far_away = try_again.using(backoff=to_far_away)
# Known by their names from now on, in workers too.
KNOWN = [trying(name) for name in (*BROKEN, *SOUND)]


# --- Receivers -----------------------------------------------------------------------------------


@task(max_attempts=2, backoff=at_once, takes_context=True)
async def be_noticed(context: TaskContext) -> int:
    """Fail at first, while receivers do what they like."""
    if context.attempt == 1:
        raise ValueError("not yet")
    return context.attempt


@task
def be_noticed_in_thread() -> str:
    return "noticed"


NOTICED = {be_noticed.module_path, be_noticed_in_thread.module_path}


async def raise_async(task_result: Any, **_: Any) -> None:
    if task_result.task.module_path in NOTICED:
        await asyncio.sleep(0)
        raise ValueError("an async receiver's trouble")


async def note_async(task_result: Any, **_: Any) -> None:
    if task_result.task.module_path in NOTICED:
        await asyncio.sleep(0.01)
        tasks.note(task_result.id, f"noticed {task_result.status}")


def raise_sync(task_result: Any, **_: Any) -> None:
    if task_result.task.module_path in NOTICED:
        raise ValueError("a receiver's trouble")


def spoil(task_result: Any, **_: Any) -> None:
    if task_result.task.module_path in NOTICED:
        object.__setattr__(task_result, "worker_ids", "spoilt")


RECEIVERS = (raise_async, note_async, raise_sync, spoil)


def connect() -> None:
    """Let the receivers receive, in this process."""
    for signal in (task_enqueued, task_started, task_finished):
        for receiver in RECEIVERS:
            signal.connect(receiver)


def disconnect() -> None:
    for signal in (task_enqueued, task_started, task_finished):
        for receiver in RECEIVERS:
            signal.disconnect(receiver)


if "celery" in sys.argv[0]:
    connect()
