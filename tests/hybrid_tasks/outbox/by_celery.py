"""The Celery backend in tests that have no worker: what it sends, and the rows then."""

from collections import Counter
from typing import Any

from pytest_django import Settings

from hybrid_tasks.celery.publisher import publisher
from hybrid_tasks.outbox.writer import writer
from hybrid_tasks.results.task_result import TaskResult
from tests.hybrid_tasks.outbox import broker
from tests.hybrid_tasks.outbox.rows import (
    LEASE,
    row_states,
)
from tests.processes import PATIENCE


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
    assert publisher.flush(PATIENCE)
    assert writer.flush(PATIENCE)
    return row_states()
