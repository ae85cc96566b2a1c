"""The Celery backend in tests that have no worker: what it sends, and the rows then."""

from collections import Counter
from typing import Any

from pytest_django import Settings

from hybrid_tasks.results.task_result import TaskResult
from hybrid_tasks.runtime import current
from tests.hybrid_tasks.outbox import broker
from tests.hybrid_tasks.outbox.rows import LEASE, row_states
from tests.hybrid_tasks.runtimes import settle


def use(settings: Settings, app: str) -> None:
    settings.TASKS = {
        "default": {
            "BACKEND": "hybrid_tasks.backends.eventloop.EventLoopBackend",
            "OPTIONS": {"overflow": "celery", "drain_timeout": 0, "max_running": 1},
        },
        "celery": {
            "BACKEND": "hybrid_tasks.backends.celery.CeleryBackend",
            "OPTIONS": {"app": f"{broker.__name__}.{app}", "lease": LEASE},
        },
    }


def enqueue(task: Any, *args: Any, **options: Any) -> TaskResult:
    result: TaskResult = task.using(backend="celery", **options).enqueue(*args)
    return result


def ids_in(queue: str) -> Counter[str]:
    return Counter(message["headers"]["id"] for message in broker.messages(queue))


def settled() -> dict[str, str]:
    """Return the rows when all that was asked for is sent and written."""
    settle(current())
    return row_states()
