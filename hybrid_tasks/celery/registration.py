"""Our tasks as Celery knows them: registered under their own names."""

from functools import cache
from typing import Any

from celery import shared_task

from hybrid_tasks.celery.delivery import run_message
from hybrid_tasks.tasks import Task, observe

_celery_tasks: dict[str, Any] = {}


@cache
def register_all() -> None:
    """Register every task that is defined or will be."""
    observe(lambda task: _celery_tasks.setdefault(task.module_path, _register(task)))


def celery_task(task: Task) -> Any:
    """Return what Celery knows `task` as."""
    return _celery_tasks[task.module_path]


def _register(task: Task) -> Any:
    path = task.module_path

    def run(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        return run_message(self, path, args, kwargs)

    run.__doc__ = task.func.__doc__
    again = task.max_attempts > 1
    return shared_task(
        name=path,
        bind=True,
        typing=False,
        ignore_result=True,
        track_started=True,
        # At most once: acknowledged before it runs, so that nothing repeats it. With more attempts
        # acknowledged when it has run, so that a worker that dies loses none.
        acks_late=again,
        retry_on_worker_lost=again,
        max_retries=task.max_attempts - 1,
        # The task_finished signal has logged the exception; Celery then does not do so again.
        throws=(Exception,),
    )(run)
