"""Our tasks as Celery knows them: registered under their own names, and run by a worker."""

import asyncio
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from inspect import iscoroutinefunction
from types import FrameType
from typing import Any

from celery import shared_task
from celery.exceptions import Ignore, SoftTimeLimitExceeded
from celery.utils.saferepr import saferepr
from django.tasks.exceptions import TaskResultDoesNotExist

from hybrid_tasks import results
from hybrid_tasks.backends.base import hybrid_backend
from hybrid_tasks.exceptions import TaskInterrupted, TaskStopped
from hybrid_tasks.execution import Attempt, acall, call
from hybrid_tasks.results import ResultStore, TaskResult
from hybrid_tasks.tasks import Task, observe

logger = logging.getLogger("hybrid_tasks")

HEADER = "hybrid_tasks"  # of a message: the result as `results.encode` made it
SHOWN = 1024  # characters of a task's arguments

_celery_tasks: dict[str, Any] = {}


class WorkerAttempt(Attempt):
    """An attempt in a process that Celery ends by SIGTERM, for one task or at a shutdown."""

    def __init__(self, result: TaskResult, store: ResultStore, **options: Any) -> None:
        super().__init__(result, **options)
        self._store = store

    def interrupt(self) -> None:
        """End the attempt, unless the task was cancelled: who did that has told its end."""
        try:
            kept = self._store.load(self.result.id)
        except Exception as error:  # noqa: BLE001 - a cache that is away must not stop the end
            logger.warning("Result %s cannot be read: %r", self.result.id, error)
            kept = self.result
        if kept.is_finished:
            self.result = kept
        else:
            super().interrupt()


@contextmanager
def watch_termination(attempt: Attempt) -> Iterator[None]:
    """Tell the attempt when a SIGTERM makes its process exit."""
    handler = signal.getsignal(signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return

    def tell(number: int, frame: FrameType | None) -> None:
        try:
            handler(number, frame)
        except SystemExit:
            attempt.stop = TaskInterrupted
            raise

    signal.signal(signal.SIGTERM, tell)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) is tell:
            signal.signal(signal.SIGTERM, handler)


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


def run_message(celery_task: Any, path: str, args: Any, kwargs: Any) -> Any:
    """Make one attempt at the task of a message, in a worker; return what the task returned.

    Raises what the task raised, for Celery's events, or Celery's Retry.
    """
    request = celery_task.request
    result, store, sender = current_state(request, path, args, kwargs)
    attempt = WorkerAttempt(
        result,
        store,
        worker_id=request.hostname or f"celery@{socket.gethostname()}-{os.getpid()}",
        sender=sender,
        save=lambda changed: save(store, changed),
    )
    if result.is_finished:
        logger.info("Task id=%s path=%s had ended: not run again", result.id, path)
        raise Ignore
    if attempt.task.max_attempts == 1 and not claim(store, result):
        logger.warning("Task id=%s path=%s came twice: not run again", result.id, path)
        raise Ignore
    if result.attempts >= attempt.task.max_attempts:
        attempt.fail(TaskInterrupted())
        raise TaskInterrupted
    with watch_termination(attempt):
        make_attempt(attempt)
    if attempt.stop is not None:
        raise SystemExit  # as this process was told to
    if attempt.delay is not None:
        raise celery_task.retry(
            exc=attempt.error,
            countdown=attempt.delay,
            max_retries=attempt.task.max_attempts,
            headers={HEADER: results.encode(attempt.result)},
            **shown_arguments(attempt.result),
        )
    if isinstance(attempt.error, Exception):
        raise attempt.error
    if attempt.error is not None:  # SystemExit and the like would end the worker's process
        raise TaskStopped(repr(attempt.error)) from attempt.error
    return attempt.result.return_value


def shown_arguments(result: TaskResult) -> dict[str, str]:
    """Return what Flower and the logs show of the arguments, as options of a message."""
    return {
        "argsrepr": saferepr(result.args, maxlen=SHOWN),
        "kwargsrepr": saferepr(result.kwargs, maxlen=SHOWN),
    }


def make_attempt(attempt: Attempt) -> None:
    if iscoroutinefunction(attempt.task.func):
        asyncio.run(acall(attempt))
        return
    call(attempt, timeout_signs=(SoftTimeLimitExceeded,))


def current_state(
    request: Any, path: str, args: Any, kwargs: Any
) -> tuple[TaskResult, ResultStore, type]:
    """Return the result of the task of a message, where it is kept, and the backend's class.

    The message tells how the task was when it was sent; what is kept knows what happened since,
    such as an attempt whose process died.
    """
    encoded = (request.headers or {}).get(HEADER) or request.get(HEADER)
    if encoded:
        result = results.decode(encoded)
    else:  # sent by name, as beat does
        task = results.find_task(path)
        made = results.make(task, args, kwargs, task.backend)
        result = results.advance(made, id=request.id)
    backend = hybrid_backend(result.backend)
    store = backend.store
    try:
        kept = store.load(result.id)
    except TaskResultDoesNotExist:
        kept = None
    except Exception as error:  # noqa: BLE001 - a cache that is away must not stop the work
        logger.warning("Result %s cannot be read: %r", result.id, error)
        kept = None
    if kept is not None and kept.attempts >= result.attempts:
        result = kept
    return result, store, type(backend)


def claim(store: ResultStore, result: TaskResult) -> bool:
    """Return whether this delivery of a task that may run only once is the first.

    A broker that hung when the task was sent may have got it twice.
    """
    try:
        return store.claim(result.id)
    except Exception as error:  # noqa: BLE001 - see above
        logger.warning("Task %s cannot be claimed, runs unclaimed: %r", result.id, error)
        return True


def save(store: ResultStore, result: TaskResult) -> None:
    """Store a result; a cache that is away is logged and stops nothing."""
    try:
        store.save([result])
    except Exception as error:  # noqa: BLE001 - see above
        logger.warning("Result %s cannot be stored: %r", result.id, error)
