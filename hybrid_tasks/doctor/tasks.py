"""The task that `manage.py doctor` sends through each backend and back."""

from typing import Any

from django.tasks.base import DEFAULT_TASK_PRIORITY, DEFAULT_TASK_QUEUE_NAME

from hybrid_tasks.finding import hybrid_backends
from hybrid_tasks.tasks import Task, known_task


async def ping(token: str) -> str:
    """Return what was sent."""
    return token


PATH = f"{ping.__module__}.{ping.__qualname__}"


def queue_of(backend: Any) -> str:
    """Return a queue that a backend has, its usual one if it has that."""
    usual = not backend.queues or DEFAULT_TASK_QUEUE_NAME in backend.queues
    return DEFAULT_TASK_QUEUE_NAME if usual else min(backend.queues)


def define_ping() -> None:
    """Make the task known to this process: its web server's loop, worker, or command."""
    backends: list[Any] = list(hybrid_backends())
    if backends and known_task(PATH) is None:
        ping_for(backends[0], queue_of(backends[0]))


def ping_for(backend: Any, queue: str) -> Task:
    """Return the task for a backend and a queue. Raises InvalidTask.

    Not by the decorator: a project need not have a backend "default", nor a queue of that name.
    """
    return Task(
        func=ping,
        priority=DEFAULT_TASK_PRIORITY,
        backend=backend.alias,
        queue_name=queue,
        run_after=None,
        takes_context=False,
    )
