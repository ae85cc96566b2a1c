"""What one attempt at a task means: it decides by what happened whether the task has ended."""

import asyncio
import logging
import math
import signal
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self

from django.tasks import TaskResultStatus

from hybrid_tasks import announcements
from hybrid_tasks.exceptions import TaskCancelled, TaskInterrupted, TaskLost
from hybrid_tasks.results import states
from hybrid_tasks.results.task_result import TaskResult
from hybrid_tasks.results.values import LIMIT, normalised
from hybrid_tasks.tasks import LONGEST_SECONDS, Task, TaskContext, extended

logger = logging.getLogger("hybrid_tasks")

type Save = Callable[[TaskResult], None]


class Attempt:
    """One attempt at a task, as a context manager around the call.

    Entering it marks the task as running; leaving it decides by what happened inside whether the
    task succeeded, failed or is tried again. Whatever was raised inside is data, and does not
    leave it; only the KeyboardInterrupt of a real signal does.

    Arguments:
        result: the task's result so far.
        worker_id: who makes this attempt.
        sender: of the signals, the class of the backend.
        save: makes a state readable by others.
        limit: bytes that a value, or the metadata, may take as JSON.

    Attributes:
        result: the state after this attempt.
        delay: seconds until the next attempt; None when the task has ended.
        error: the exception that ended this attempt, if one did.
        stop: set from outside to TaskCancelled, TaskInterrupted or TaskLost before the call is
            cancelled.
        timed_out: set from outside before the call is interrupted because its time is over.
        thread: of a sync function that runs in the pool.
        ended: whether the attempt is over.
        on_loop: whether it is made on a loop that others use, and that may end by itself.
    """

    def __init__(
        self, result: TaskResult, *, worker_id: str, sender: type, save: Save, limit: int = LIMIT
    ) -> None:
        self.result = result
        self.task: Task = extended(result.task)
        self.delay: float | None = None
        self.error: BaseException | None = None
        self.stop: type[TaskCancelled | TaskInterrupted | TaskLost] | None = None
        self.timed_out = False
        self.thread: Future[Any] | None = None
        self.on_loop = False
        self._worker_id = worker_id
        self._sender = sender
        self._save = save
        self._limit = limit
        self._value: Any = None
        self.ended = False
        self._saving = threading.Lock()
        # The function's own copy: results that others hold must not change under them.
        self._metadata = self._normalised_metadata(result.metadata) if self._takes_context else {}

    @property
    def _takes_context(self) -> bool:
        return self.task.takes_context

    @property
    def arguments(self) -> tuple[Any, ...]:
        """The positional arguments of the function, its context among them if it takes one."""
        args = normalised(self.result.args, math.inf) if self.result.args else ()
        if self.task.takes_context:
            own = states.advance(self.result)  # which the task may refresh
            context = TaskContext(
                task_result=own, metadata=self._metadata, save=self._save_metadata
            )
            return (context, *args)
        return tuple(args)

    @property
    def keywords(self) -> dict[str, Any]:
        """The function's keyword arguments: like the others a copy, which it may change."""
        return normalised(self.result.kwargs, math.inf) if self.result.kwargs else {}

    def returned(self, value: Any) -> None:
        """Note what the function returned.

        Raises TypeError if that or the metadata is no JSON, ValueTooLarge if it is too long.
        """
        self._value = normalised(value, self._limit, "The return value")
        if self.task.takes_context:
            self.result = self._with_metadata()

    def _save_metadata(self) -> None:
        changed = self._normalised_metadata(self._metadata)
        with self._saving:
            if not self.ended:
                self.result = states.advance(self.result, metadata=changed)
                self._save(self.result)

    def _with_metadata(self) -> TaskResult:
        return states.advance(self.result, metadata=self._normalised_metadata(self._metadata))

    def _normalised_metadata(self, metadata: dict[str, Any]) -> dict[str, Any]:
        copy: dict[str, Any] = normalised(metadata, self._limit, "The metadata")
        return copy

    def __enter__(self) -> Self:
        self.begin()
        self._save(self.result)
        return self.announced()

    def begin(self) -> None:
        """Count the attempt."""
        self.result = states.started(self.result, self._worker_id)

    def announced(self) -> Self:
        """Tell those who listen that the attempt begins."""
        announcements.started.send(self._sender, self.result)
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> bool:
        with self._saving:
            left_behind, self.ended = self.ended, True  # what its thread may still save counts not
        self.error = error
        if left_behind:  # it ended when the process stopped; how, is told
            pass
        elif self.stop is TaskLost:
            logger.warning("Task id=%s goes on elsewhere: stopped here", self.result.id)
        elif self.stop is TaskCancelled:  # also if the function has swallowed that
            self.fail(TaskCancelled())
        elif error is None:
            self._end(states.succeeded(self.result, self._value))
        elif self.timed_out:
            self._retry_or_fail(timed_out(self.task))
        elif self.stop is TaskInterrupted or (self.on_loop and is_foreign(error)):
            self.stop = TaskInterrupted
            self.interrupt()
        else:
            self._retry_or_fail(error)
        return not is_from_signal(error)

    def interrupt(self) -> None:
        """End an attempt that the process has no more time for."""
        if self.result.attempts < self.task.max_attempts:
            self.delay = 0.0
            self._save_retry(TaskInterrupted())
        else:
            self.fail(TaskInterrupted())

    def fail(self, error: BaseException) -> None:
        """End the task as failed with `error`."""
        self.error = error
        self._end(states.failed(self.result, error))

    def _retry_or_fail(self, error: BaseException) -> None:
        # A CancelledError that nobody asked for is the function's own, like any other exception.
        may_be_tried = isinstance(error, Exception | asyncio.CancelledError)
        if may_be_tried and self.result.attempts < self.task.max_attempts:
            try:
                self.delay = seconds_of(self.task.backoff(error, self.result))
            except BaseException as broken:  # noqa: BLE001 - it fails the task, openly
                error = broken
        if self.delay is None:
            self.fail(error)
        else:
            self.error = error
            logger.warning(
                "Task id=%s path=%s attempt %d of %d failed, next in %.1f s",
                *(self.result.id, self.task.module_path),
                *(self.result.attempts, self.task.max_attempts, self.delay),
                exc_info=error,
            )
            self._save_retry(error)

    def _save_retry(self, error: BaseException) -> None:
        self.result = states.to_retry(self.result, error)
        self._save(self.result)

    def _end(self, result: TaskResult) -> None:
        self.result = result
        self._save(result)
        failed = result.status == TaskResultStatus.FAILED
        finished = announcements.failed if failed else announcements.succeeded
        finished.send(self._sender, result)


def seconds_of(answer: Any) -> float | None:
    """Return what a backoff has answered, if it is something to wait for.

    Raises TypeError if it is neither None nor a finite number. More than a year is cut to that.
    """
    if answer is None:
        return None
    if isinstance(answer, Coroutine):
        answer.close()
    is_number = isinstance(answer, int | float) and not isinstance(answer, bool)
    if not is_number or (isinstance(answer, float) and not math.isfinite(answer)):
        raise TypeError(
            f"The backoff returned {answer!r}: it must return seconds as a finite number, or None."
        )
    return float(max(0, min(answer, LONGEST_SECONDS)))


def is_foreign(error: BaseException) -> bool:
    """Return whether an attempt was ended by somebody who has nothing to do with its task.

    A loop that ends by itself cancels all that runs on it, or closes it.
    """
    try:
        runs = asyncio.current_task()
    except RuntimeError:  # no loop: a coroutine that is being closed gets this
        return isinstance(error, GeneratorExit)
    return isinstance(error, asyncio.CancelledError) and runs is not None and runs.cancelling() > 0


def is_from_signal(error: BaseException | None) -> bool:
    """Return whether `error` may be a person's Ctrl-C, which the whole process has to hear.

    Servers and workers have handlers of their own; there, only the task itself can have raised it.
    """
    return (
        isinstance(error, KeyboardInterrupt)
        and threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )


def timed_out(task: Task) -> TimeoutError:
    if task.timeout is None:
        return TimeoutError(f"{task.module_path} took longer than its worker's time limit.")
    return TimeoutError(f"{task.module_path} took longer than its timeout of {task.timeout:g} s.")
