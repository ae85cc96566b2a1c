"""A task that the broker has delivered: what is the same whether it has a row or not."""

import logging
import os
import socket
from abc import ABC, abstractmethod
from typing import Any, NoReturn, Self

from celery.exceptions import (
    Ignore,
    Retry,
    TaskPredicate,
    Terminated,
    TimeLimitExceeded,
    WorkerLostError,
)
from celery.utils.saferepr import saferepr

from hybrid_tasks.celery.attempts import WorkerAttempt
from hybrid_tasks.celery.progress import SHOWN, ProgressTeller
from hybrid_tasks.exceptions import TaskLost, TaskStopped
from hybrid_tasks.finding import Hybrid
from hybrid_tasks.results.task_result import TaskResult

logger = logging.getLogger("hybrid_tasks")

# What a worker would take for its own affair, or its main process for a reason to end.
CELERYS_OWN = (TaskPredicate, WorkerLostError, Terminated, TimeLimitExceeded, MemoryError)


class Delivery(ABC):
    """A message in a worker, from its arrival to the end of the attempt.

    Its steps are begin(), the call of the function inside `attempt`, and finish(). As a context
    manager around them it gives back what is claimed, whatever happens in between.

    Attributes:
        attempt: the one that this message is for, after begin().
    """

    attempt: WorkerAttempt

    def __init__(self, celery_task: Any, sent: TaskResult, backend: Hybrid) -> None:
        request = celery_task.request
        self.id = sent.id
        self._celery_task = celery_task
        self._sent = sent
        self._backend = backend
        self._store = backend.store
        self._worker_id = request.hostname or f"celery@{socket.gethostname()}-{os.getpid()}"
        self._came_again = came_again(request)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.give_back()

    @abstractmethod
    def begin(self) -> None:
        """Begin the attempt, for all to see. Raises Ignore if this message must not be run."""

    @abstractmethod
    def give_back(self) -> None:
        """Leave to others what is claimed and not settled."""

    @abstractmethod
    def _settle(self) -> None:
        """Leave the task as the attempt has left it."""

    def finish(self) -> Any:
        """See that the task goes on, or has ended; return its value, or raise as run_message()."""
        attempt = self.attempt
        self._settle()
        if attempt.exits:
            raise SystemExit  # as this process was told to
        if attempt.stop is TaskLost or attempt.superseded:
            raise Ignore
        if attempt.delay is not None:
            raise Retry(exc=tellable(attempt.error), when=attempt.delay)
        if attempt.error is not None:
            raise tellable(attempt.error)
        return attempt.result.return_value

    def _attempt_at(self, result: TaskResult) -> WorkerAttempt:
        return WorkerAttempt(
            result,
            store=self._store,
            tell=ProgressTeller(self._celery_task).tell,
            worker_id=self._worker_id,
            sender=type(self._backend),
            limit=self._backend.settings.max_bytes,
        )

    def _claim(self) -> bool:
        """Store the beginning of the attempt; return False if another has made it, or the end.

        A cache that is away must not stop the work.
        """
        self.attempt.begin()
        try:
            return self._store.begin(self.attempt.result)
        except Exception as error:  # noqa: BLE001 - each cache has errors of its own
            logger.warning("Task id=%s runs unclaimed: %r", self.id, error)
            return True

    def _drop(self, latest: TaskResult) -> NoReturn:
        what = "had ended" if latest.is_finished else "came twice"
        path = latest.task.module_path
        logger.info("Task id=%s path=%s %s: not run again", self.id, path, what)
        raise Ignore


def came_again(request: Any) -> bool:
    """Return whether a message was delivered before, and not acknowledged.

    One that met the delivery limit of a quorum queue comes from the queue for its dead letters, as
    if it were new there.
    """
    deaths: Any = request.get("x-death") or ()
    return bool((request.delivery_info or {}).get("redelivered")) or any(
        death.get("reason") == "delivery_limit" for death in deaths
    )


def tellable(error: BaseException | None) -> Exception:
    """Return what Celery is told of an exception: one that means nothing to it."""
    if isinstance(error, Exception) and not isinstance(error, CELERYS_OWN):
        return error
    stopped = TaskStopped(saferepr(error, maxlen=SHOWN))
    stopped.__cause__ = error
    return stopped
