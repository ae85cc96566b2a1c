"""One attempt at a task: the only place where a task is called, for both backends.

`Attempt` holds all that an attempt means; `call` and `acall` differ in the await alone.
"""

import asyncio
import contextvars
import functools
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from inspect import iscoroutinefunction
from types import TracebackType
from typing import Any, Self

from asgiref.sync import SyncToAsync, ThreadSensitiveContext
from django.db import connections
from django.tasks import TaskResultStatus

from hybrid_tasks import announcements
from hybrid_tasks.django_types import DjangoTaskContext
from hybrid_tasks.exceptions import TaskCancelled, TaskInterrupted, TaskLost
from hybrid_tasks.results import states
from hybrid_tasks.results.task_result import TaskResult
from hybrid_tasks.tasks import Task, extended

logger = logging.getLogger("hybrid_tasks")

is_async = functools.cache(iscoroutinefunction)

type Save = Callable[[TaskResult], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskContext(DjangoTaskContext):  # type: ignore[misc]  # the stubs miss "frozen"
    """Django's context, through which a task can also change its metadata while it runs.

    Attributes:
        metadata: a JSON dict to change in place. Others see the changes when they are saved, and
            when the task has succeeded.
    """

    metadata: dict[str, Any]
    save: Callable[[], None]

    def save_metadata(self) -> None:
        """Make the metadata as it is now readable by others. Raises TypeError if it is no JSON."""
        self.save()

    async def asave_metadata(self) -> None:
        """See save_metadata(). It does not wait for the store."""
        self.save()


class Attempt:
    """One attempt at a task, as a context manager around the call.

    Entering it marks the task as running; leaving it decides by what happened inside whether the
    task succeeded, failed or is tried again. Only KeyboardInterrupt leaves it.

    Arguments:
        result: the task's result so far.
        worker_id: who makes this attempt.
        sender: of the signals, the class of the backend.
        save: makes a state readable by others.

    Attributes:
        result: the state after this attempt.
        delay: seconds until the next attempt; None when the task has ended.
        error: the exception that ended this attempt, if one did.
        stop: set from outside to TaskCancelled, TaskInterrupted or TaskLost before the call is
            cancelled.
    """

    def __init__(self, result: TaskResult, *, worker_id: str, sender: type, save: Save) -> None:
        self.result = result
        self.task: Task = extended(result.task)
        self.delay: float | None = None
        self.error: BaseException | None = None
        self.stop: type[TaskCancelled | TaskInterrupted | TaskLost] | None = None
        self._worker_id = worker_id
        self._sender = sender
        self._save = save
        self._value: Any = None
        # The function's own copy: results that others hold must not change under them.
        self._metadata = states.normalised(result.metadata) if self.task.takes_context else {}

    @property
    def arguments(self) -> tuple[Any, ...]:
        """The positional arguments of the function, its context among them if it takes one."""
        args = states.normalised(self.result.args) if self.result.args else ()
        if self.task.takes_context:
            context = TaskContext(
                task_result=self.result, metadata=self._metadata, save=self._save_metadata
            )
            return (context, *args)
        return tuple(args)

    @property
    def keywords(self) -> dict[str, Any]:
        """The function's keyword arguments: like the others a copy, which it may change."""
        return states.normalised(self.result.kwargs) if self.result.kwargs else {}

    def returned(self, value: Any) -> None:
        """Note what the function returned. Raises TypeError if that or the metadata is no JSON."""
        self._value = states.normalised(value)
        if self.task.takes_context:
            self.result = self._with_metadata()

    def _save_metadata(self) -> None:
        self.result = self._with_metadata()
        self._save(self.result)

    def _with_metadata(self) -> TaskResult:
        return states.advance(self.result, metadata=states.normalised(self._metadata))

    def __enter__(self) -> Self:
        self.result = states.started(self.result, self._worker_id)
        self._save(self.result)
        announcements.started.send(self._sender, self.result)
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> bool:
        if error is None:
            self._end(states.succeeded(self.result, self._value))
            return True
        if isinstance(error, KeyboardInterrupt):
            return False
        self.error = error
        if self.stop is TaskCancelled:
            self.fail(TaskCancelled())
        elif self.stop is TaskInterrupted:
            self.interrupt()
        elif self.stop is TaskLost:
            logger.warning("Task id=%s goes on elsewhere: stopped here", self.result.id)
        else:
            self._retry_or_fail(error)
        return True

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
        if isinstance(error, Exception) and self.result.attempts < self.task.max_attempts:
            try:
                self.delay = self.task.backoff(error, self.result)
            except Exception as broken:  # noqa: BLE001 - a broken backoff fails the task, openly
                error = broken
        if self.delay is None:
            self.fail(error)
        else:
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


def timed_out(task: Task) -> TimeoutError:
    return TimeoutError(f"{task.module_path} took longer than its timeout of {task.timeout:g} s.")


def call(attempt: Attempt, timeout_signs: tuple[type[Exception], ...] = ()) -> None:
    """Make an attempt at a task with a sync function, in this thread.

    Whoever limits the thread's time does so by raising one of `timeout_signs` in it.
    """
    with attempt:
        try:
            value = attempt.task.func(*attempt.arguments, **attempt.keywords)
        except timeout_signs as error:
            raise timed_out(attempt.task) from error
        attempt.returned(value)


async def acall(
    attempt: Attempt, own_thread: Callable[[], AbstractAsyncContextManager[Any]] | None = None
) -> None:
    """Make an attempt at any task on the running loop; a sync function runs in a thread.

    `own_thread` gives the attempt's thread for the ORM, an AttemptThread unless told otherwise.
    """
    task = attempt.task
    with attempt:
        async with (own_thread or AttemptThread)():
            if is_async(task.func):
                awaitable = task.func(*attempt.arguments, **attempt.keywords)
            else:
                awaitable = run_pooled(
                    functools.partial(task.func, *attempt.arguments, **attempt.keywords)
                )
            if task.timeout is None:
                attempt.returned(await awaitable)
            else:
                attempt.returned(await in_time(awaitable, task))


async def in_time(awaitable: Any, task: Task) -> Any:
    """Await within the task's timeout. Raises TimeoutError with the task's name and the limit."""
    limit = asyncio.timeout(task.timeout)
    try:
        async with limit:
            return await awaitable
    except TimeoutError as error:
        if limit.expired():
            raise timed_out(task) from error
        raise


# For tasks whose function is sync, on the event loop: as many threads as Python's own default.
_pool = ThreadPoolExecutor(min(32, (os.cpu_count() or 1) + 4), thread_name_prefix="hybrid-tasks")


class AttemptThread(ThreadSensitiveContext):
    """The thread in which one attempt uses the ORM, started by its first use.

    Django's connections belong to a thread: with one of its own, an attempt shares no connection
    with others, and those that it opened are closed when it ends.
    """

    async def __aexit__(self, *exc_info: Any) -> None:
        # Taken from asgiref, which would wait for the thread: a query may hang, and the loop not.
        thread = SyncToAsync.context_to_thread_executor.pop(self, None)
        if thread is not None:
            thread.submit(connections.close_all)
            thread.shutdown(wait=False)
        await super().__aexit__(*exc_info)  # type: ignore[no-untyped-call]


async def run_pooled(function: Callable[[], Any]) -> Any:
    """Run a sync function in the pool that all tasks share, in a copy of this context."""
    context = contextvars.copy_context()
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_pool, context.run, then_close, function)


def then_close[T](function: Callable[[], T]) -> T:
    """Call a function and close the database connections that its thread then has."""
    try:
        return function()
    finally:
        connections.close_all()
