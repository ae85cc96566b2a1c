"""Deliveries without a worker: each step can be taken by itself."""

from types import SimpleNamespace
from typing import Any

from celery.app.task import Context
from django.tasks import task_backends

from hybrid_tasks.backends.celery import CeleryBackend
from hybrid_tasks.celery import worker
from hybrid_tasks.celery.delivery import Delivery
from hybrid_tasks.celery.message import carrying
from hybrid_tasks.results.task_result import TaskResult
from tests.hybrid_tasks.outbox import broker

WORKER = "worker@test"


def backend() -> CeleryBackend:
    found = task_backends["celery"]
    assert isinstance(found, CeleryBackend)
    return found


def celery_task(
    result: TaskResult, *, came_again: bool = False, headers: dict[str, Any] | None = None
) -> Any:
    """Return what Celery gives to a task that is called for the message with `result`."""
    request = Context(
        id=result.id,
        hostname=WORKER,
        delivery_info={"redelivered": came_again},
        **(carrying(result)["headers"] if headers is None else headers),
    )
    return SimpleNamespace(request=request, app=broker.there)


def delivery(result: TaskResult, *, came_again: bool = False) -> Delivery:
    """Return the delivery of the message by which a task in that state is sent."""
    called = celery_task(result, came_again=came_again)
    return worker.delivery_of(called, result.task.module_path, carrying(result)["args"], {})


def run(result: TaskResult, *, came_again: bool = False) -> Any:
    """Have a worker do all that it does with that message."""
    called = celery_task(result, came_again=came_again)
    return worker.run_message(called, result.task.module_path, carrying(result)["args"], {})
