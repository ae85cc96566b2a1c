"""What a worker does with a task that the broker has delivered."""

import asyncio
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from inspect import iscoroutinefunction
from types import FrameType
from typing import Any

from celery.exceptions import Ignore, SoftTimeLimitExceeded
from django.tasks.exceptions import TaskResultDoesNotExist

from hybrid_tasks.backends.base import HybridBackend, hybrid_backend
from hybrid_tasks.celery.message import carrying, sent_state
from hybrid_tasks.celery.progress import ProgressTeller
from hybrid_tasks.exceptions import TaskInterrupted, TaskStopped
from hybrid_tasks.execution import Attempt, acall, call
from hybrid_tasks.options import Options
from hybrid_tasks.outbox.settling import settle_ended
from hybrid_tasks.outbox.writer import writer
from hybrid_tasks.results import states
from hybrid_tasks.results.store import ResultStore
from hybrid_tasks.results.task_result import TaskResult
from hybrid_tasks.tasks import extended

logger = logging.getLogger("hybrid_tasks")

CLAIM_SECONDS = 30.0  # that a worker waits for the database, as it has nothing else to do
SETTLE_SECONDS = 10.0  # that a worker waits for the row of a task that has ended


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


def run_message(celery_task: Any, path: str, args: Any, kwargs: Any) -> Any:
    """Make one attempt at the task of a message, in a worker; return what the task returned.

    Raises what the task raised, for Celery's events, or Celery's Retry.
    """
    result = sent_state(celery_task.request, path, args, kwargs)
    durable = extended(result.task).durable
    with left_to_relay_if_broken(result.id) if durable else nullcontext():
        attempt = attempt_delivered(celery_task, result)
    if durable:
        settle(attempt)
    return outcome(celery_task, attempt)


@contextmanager
def left_to_relay_if_broken(task_id: str) -> Iterator[None]:
    """Give the row of a task back where not even its attempt could be made.

    Its lease would be renewed for as long as this process lives.
    """
    try:
        yield
    except Ignore:
        raise
    except BaseException:
        writer.release(task_id)
        raise


def attempt_delivered(celery_task: Any, result: TaskResult) -> Attempt:
    """Make an attempt at a task that the broker delivered, if it may be made; see run_message()."""
    backend = hybrid_backend(result.backend)
    durable = extended(result.task).durable
    result = claimed_row(result, backend) if durable else latest_state(result, backend.store)
    progress = ProgressTeller(celery_task)

    def save(changed: TaskResult) -> None:
        backend.store.try_save([changed])
        progress.tell(changed)

    attempt = WorkerAttempt(
        result,
        backend.store,
        worker_id=celery_task.request.hostname or f"celery@{socket.gethostname()}-{os.getpid()}",
        sender=type(backend),
        save=save,
    )
    if attempt.task.max_attempts == 1 and not claim(backend.store, result):
        path = result.task.module_path
        logger.warning("Task id=%s path=%s came twice: not run again", result.id, path)
        if durable:
            writer.remove(result.id)
        raise Ignore
    if result.attempts >= attempt.task.max_attempts:
        attempt.fail(TaskInterrupted())
        raise TaskInterrupted
    with watch_termination(attempt):
        make_attempt(attempt)
    return attempt


def outcome(celery_task: Any, attempt: Attempt) -> Any:
    """Tell Celery how the attempt ended: return its value, or raise its error or a Retry."""
    if attempt.stop is not None:
        raise SystemExit  # as this process was told to
    if attempt.delay is not None:
        if extended(attempt.result.task).durable:
            raise Ignore  # the relay sends it when its time has come
        raise celery_task.retry(
            exc=attempt.error,
            countdown=attempt.delay,
            max_retries=attempt.task.max_attempts,
            **carrying(attempt.result),
        )
    if isinstance(attempt.error, Exception):
        raise attempt.error
    if attempt.error is not None:  # SystemExit and the like would end the worker's process
        raise TaskStopped(repr(attempt.error)) from attempt.error
    return attempt.result.return_value


def settle(attempt: Attempt) -> None:
    """Bring the row of a durable task to where the attempt has left the task, and wait for it."""
    if attempt.delay is not None:
        writer.postpone(attempt.result, attempt.delay)
    else:
        settle_ended(attempt)
    if not writer.flush(SETTLE_SECONDS):
        logger.warning("Task id=%s has ended, its row has not heard of it yet", attempt.result.id)


def make_attempt(attempt: Attempt) -> None:
    if iscoroutinefunction(attempt.task.func):
        asyncio.run(acall(attempt))
        return
    call(attempt, timeout_signs=(SoftTimeLimitExceeded,))


def claimed_row(result: TaskResult, backend: HybridBackend[Options]) -> TaskResult:
    """Claim the row of a durable task; return the result that the row holds.

    Raises Ignore if this delivery must not run: another did, does or will. Raises
    OutboxUnavailable if the database is away, when the relay sends it again.
    """
    row = writer.claim(result.id, backend.settings.lease, CLAIM_SECONDS)
    if row is None:
        logger.info("Task id=%s is not free: not run now", result.id)
        raise Ignore
    kept = states.advance(states.decode(row.message), backend=result.backend)
    return states.attempted(kept, row.attempts - 1)


def latest_state(result: TaskResult, store: ResultStore) -> TaskResult:
    """Return the result of an ordinary task as it is now. Raises Ignore if the task has ended.

    What is kept knows what happened since it was sent, such as an attempt whose process died.
    """
    try:
        kept = store.load(result.id)
    except TaskResultDoesNotExist:
        return result
    except Exception as error:  # noqa: BLE001 - a cache that is away must not stop the work
        logger.warning("Result %s cannot be read: %r", result.id, error)
        return result
    if kept.attempts < result.attempts:
        return result
    if kept.is_finished:
        path = result.task.module_path
        logger.info("Task id=%s path=%s had ended: not run again", result.id, path)
        raise Ignore
    return kept


def claim(store: ResultStore, result: TaskResult) -> bool:
    """Return whether this delivery of a task that may run only once is the first.

    A broker that hung when the task was sent may have got it twice.
    """
    try:
        return store.claim(result)
    except Exception as error:  # noqa: BLE001 - see above
        logger.warning("Task %s cannot be claimed, runs unclaimed: %r", result.id, error)
        return True
