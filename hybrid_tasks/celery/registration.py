"""Our tasks as Celery knows them: registered under their own names, with every application."""

import sys
from functools import cache
from typing import Any

from celery import shared_task
from django.tasks.exceptions import InvalidTask

from hybrid_tasks.celery.answering import watch_questions
from hybrid_tasks.celery.revoked import watch_revoked
from hybrid_tasks.celery.unknown import watch_unknown
from hybrid_tasks.celery.worker import run_message
from hybrid_tasks.django_types import DjangoTask
from hybrid_tasks.tasks import Task, observe


@cache
def register_all() -> None:
    """Register every task that is defined or will be; look after those that are unknown here."""
    observe(register)
    watch_questions()
    watch_unknown()
    watch_revoked()


def register(task: Task) -> None:
    path = task.module_path

    def run(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        return run_message(self, path, args, kwargs)

    run.__doc__ = task.func.__doc__
    shared_task(
        name=path,
        bind=True,
        typing=False,
        ignore_result=True,
        track_started=True,
        # Acknowledged when it has run, so that a worker that dies loses none. That an attempt is
        # not made twice is for delivery.py to see to, and what becomes of one whose process has
        # died for the worker's main process; both by the `max_attempts` with which it was sent.
        acks_late=True,
        acks_on_failure=True,
        acks_on_timeout=True,
        reject_on_worker_lost=False,
        retry_on_worker_lost=False,
        max_retries=None,
        Request="hybrid_tasks.celery.lost:HybridRequest",
        # The task_finished signal has logged the exception; Celery then does not do so again.
        throws=(Exception,),
    )(run)


def validate_registered(task: DjangoTask) -> None:
    """Raise InvalidTask for a task that no worker registers."""
    if task.func.__module__ == "__main__":
        raise InvalidTask(
            f"{task.func.__qualname__} is defined in the script that runs: no worker could find it."
        )
    if isinstance(task, Task):
        return
    module = sys.modules.get(task.func.__module__)
    ours = [it for it in vars(module).values() if isinstance(it, Task)] if module else []
    if not any(it.func is task.func for it in ours):
        raise InvalidTask(
            f"{task.module_path} was defined for a backend of another package, so no worker knows"
            " it: use hybrid_tasks.tasks.task."
        )
