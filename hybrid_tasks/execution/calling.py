"""The only place where a task's function is called; `call` and `acall` differ in the await."""

import asyncio
import contextvars
import functools
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from inspect import iscoroutinefunction
from typing import Any

from hybrid_tasks.exceptions import TaskInterrupted
from hybrid_tasks.execution.attempt import Attempt, timed_out
from hybrid_tasks.execution.threads import AttemptThread, Pool, then_close
from hybrid_tasks.runtime import current
from hybrid_tasks.tasks import Task

is_async = functools.cache(iscoroutinefunction)


def call(attempt: Attempt, timeout_signs: tuple[type[Exception], ...] = ()) -> None:
    """Make an attempt at a task with a sync function, in this thread.

    Whoever limits the thread's time does so by raising one of `timeout_signs` in it.
    """
    with attempt:
        run_function(attempt, timeout_signs)


def run_function(attempt: Attempt, timeout_signs: tuple[type[Exception], ...] = ()) -> None:
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
    attempt.on_loop = True
    with attempt:
        await run_async(attempt, own_thread)


async def run_async(
    attempt: Attempt, own_thread: Callable[[], AbstractAsyncContextManager[Any]] | None = None
) -> None:
    task = attempt.task
    async with (own_thread or AttemptThread)():
        if not is_async(task.func):
            attempt.returned(await run_pooled(attempt))
        elif task.timeout is None:
            attempt.returned(await task.func(*attempt.arguments, **attempt.keywords))
        else:
            function = task.func(*attempt.arguments, **attempt.keywords)
            attempt.returned(await in_time(function, task))


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


async def run_pooled(attempt: Attempt) -> Any:
    """Run the sync function of an attempt in the pool that all tasks share.

    Its time begins when a thread is free for it. A thread cannot be stopped: when the process
    stops, an attempt that runs in one ends when the thread does.
    """
    loop = asyncio.get_running_loop()
    task = attempt.task
    began = loop.create_future()
    function = functools.partial(task.func, *attempt.arguments, **attempt.keywords)

    def begin() -> Any:
        with suppress(RuntimeError):  # the loop is closed, and nobody waits on it
            loop.call_soon_threadsafe(settle_once, began)
        try:
            return then_close(function)
        except StopIteration as error:  # no future can end by it: those of Python 3.12.1 never do
            raise RuntimeError(f"{task.module_path} raised StopIteration") from error

    context = contextvars.copy_context()
    attempt.thread = thread = current().part(Pool).submit(context.run, begin)
    ended = asyncio.wrap_future(thread)
    try:
        await asyncio.wait([began, ended], return_when=asyncio.FIRST_COMPLETED)
        if task.timeout is None:
            return await asyncio.shield(ended)
        return await in_time(asyncio.shield(ended), task)
    except asyncio.CancelledError:
        if thread.cancel() or attempt.stop is not TaskInterrupted:
            raise
        return await asyncio.shield(ended)
    finally:
        if not ended.done():
            ended.add_done_callback(forget_error)


def settle_once(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def forget_error(future: asyncio.Future[Any]) -> None:
    """Take note of what a thread raised that nobody waits for any more."""
    if not future.cancelled():
        future.exception()
