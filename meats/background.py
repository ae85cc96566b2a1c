"""Holds what the views start beside their response, until it has ended.

The event loop keeps only weak references to its tasks: one that nobody holds can be collected
half-way (https://docs.python.org/3/library/asyncio-task.html#asyncio.create_task).
"""

import asyncio
import atexit
import logging
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from django.conf import settings

logger = logging.getLogger(__name__)

type Effect = Callable[..., Awaitable[Any]]


class BackgroundFull(Exception):
    """As many side effects are running as this process accepts."""


class TaskHolder:
    """Holds the tasks of one event loop: bounded, each with a time limit, its outcome logged.

    Arguments:
        limit: how many tasks may run at once.
        timeout: seconds that one task may take.
    """

    def __init__(self, limit: int = 1000, timeout: float = 120) -> None:
        self.limit = limit
        self.timeout = timeout
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, function: Effect, *args: Any) -> None:
        """Start `function(*args)` on the running loop. Raises BackgroundFull."""
        if len(self._tasks) >= self.limit:
            raise BackgroundFull(f"{self.limit} side effects are running; {function} was refused.")
        task = asyncio.get_running_loop().create_task(self._run(function, *args))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, function: Effect, *args: Any) -> None:
        name = getattr(function, "__name__", repr(function))
        began = time.monotonic()
        try:
            async with asyncio.timeout(self.timeout):
                await function(*args)
        except asyncio.CancelledError:
            logger.warning("%s was cut off after %.1f s", name, time.monotonic() - began)
            raise
        except Exception:
            logger.exception("%s failed after %.1f s", name, time.monotonic() - began)
        else:
            logger.info("%s done in %.1f s", name, time.monotonic() - began)

    async def drain(self, seconds: float) -> None:
        """Wait up to `seconds` for the tasks to end, then cancel those that did not."""
        if not self._tasks:
            return
        logger.info("Waiting up to %g s for %d side effects", seconds, len(self._tasks))
        _, late = await asyncio.wait(self._tasks, timeout=seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)


class PrivateLoop:
    """An event loop in a thread of its own, drained when the process exits.

    Under `runserver` and WSGI each async view has a loop that ends with the view, and its tasks
    with it; here they live on.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._holder = TaskHolder()
        threading.Thread(target=self._loop.run_forever, name="side-effects", daemon=True).start()
        atexit.register(self._close)

    def start(self, function: Effect, *args: Any) -> None:
        """Start `function(*args)` on this loop. Raises BackgroundFull."""
        self._call(self._start(function, *args)).result()

    async def _start(self, function: Effect, *args: Any) -> None:
        self._holder.start(function, *args)

    def _close(self) -> None:
        self._call(self._holder.drain(settings.DRAIN_TIMEOUT)).result()
        self._loop.call_soon_threadsafe(self._loop.stop)

    @property
    def _call(self) -> Callable[..., Any]:
        return partial(asyncio.run_coroutine_threadsafe, loop=self._loop)


class Background:
    """Where views start side effects: on the server's loop, or without one on a private loop."""

    def __init__(self) -> None:
        self._server: tuple[asyncio.AbstractEventLoop, TaskHolder] | None = None
        self._private: PrivateLoop | None = None

    def start(self, function: Effect, *args: Any) -> None:
        """Start `function(*args)` beside the caller, who must be on an event loop.

        Raises BackgroundFull when too many are running already.
        """
        if self._server and self._server[0] is asyncio.get_running_loop():
            self._server[1].start(function, *args)
            return
        if self._private is None:
            self._private = PrivateLoop()
        self._private.start(function, *args)

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[None]:
        """Adopt the running loop as the server's until the block ends, then drain it."""
        holder = TaskHolder()
        self._server = (asyncio.get_running_loop(), holder)
        try:
            yield
        finally:
            self._server = None
            await holder.drain(settings.DRAIN_TIMEOUT)


background = Background()
