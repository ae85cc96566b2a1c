"""An event loop that runs one callback when it is told to, by the world's clock."""

import asyncio
import heapq
import itertools
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from contextvars import Context
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from hybrid_tasks.loop.worker import LoopWorker
from tests.world import stage, threads

if TYPE_CHECKING:
    from tests.world.process import Process


class SimLoop(asyncio.AbstractEventLoop):
    """What the core and asyncio itself need of a loop; it has no sockets and no threads.

    Attributes:
        ready: the callbacks that can run now, in the order in which they came.
        pick: which of them is the next.
    """

    def __init__(self, process: "Process") -> None:
        self.process = process
        self.ready: list[asyncio.Handle] = []
        self.pick = 0
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._order = itertools.count()
        self._closed = False
        self._tasks: WeakKeyDictionary[asyncio.Task[Any], None] = WeakKeyDictionary()  # in order

    # --- For the world ---------------------------------------------------------------------------

    def start(self, name: str) -> None:
        """Run in a thread of its process."""
        self.process.spawn(name, self._run).is_loop = True

    def _run(self) -> None:
        while not self._closed:
            due = self.next_time
            threads.wait(self.look, None if due is None else max(0.0, due - self.time()))
            if self.look():
                self.run_one()
                threads.pause()

    def run_until(self, is_over: threads.Predicate) -> None:
        """Run in the calling thread until something is the case."""
        while not is_over():
            due = self.next_time
            threads.wait(self.look, None if due is None else max(0.0, due - self.time()))
            if self.look():
                self.run_one()

    def run_one(self) -> None:
        """Run one of the callbacks that are ready, in the calling thread."""
        pick = self.pick or self.process.world.picked(len(self.ready))
        handle = self.ready.pop(pick % len(self.ready))
        self.pick = 0
        if handle.cancelled():
            return
        asyncio._set_running_loop(self)
        try:
            handle._run()
        finally:
            asyncio._set_running_loop(None)

    def look(self) -> bool:
        """Return whether a callback can run now; what has come due is ready then."""
        now = self.time()
        while self._timers and (self._timers[0][0] <= now or self._timers[0][2].cancelled()):
            handle = heapq.heappop(self._timers)[2]
            if not handle.cancelled():
                self.ready.append(handle)
        return bool(self.ready)

    @property
    def next_time(self) -> float | None:
        """When the next timer comes due, by this loop's clock."""
        while self._timers and self._timers[0][2].cancelled():
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def cancel_all(self) -> None:
        """Cancel all tasks on it."""
        for task in list(self._tasks):
            task.cancel()

    def drop(self) -> None:
        """Free what is left of its tasks."""
        self.ready.clear()
        self._timers.clear()
        for task in list(self._tasks):
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            with suppress(BaseException):  # what they do about it is of no interest
                task.get_coro().close()  # type: ignore[union-attr]

    # --- For asyncio -----------------------------------------------------------------------------

    def time(self) -> float:
        return self.process.runtime.clock.monotonic()

    def call_soon(  # type: ignore[override]  # as in asyncio's own
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        if self._closed:
            raise RuntimeError("Event loop is closed")
        handle = asyncio.Handle(callback, args, self, context)
        self.ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        if self._closed:
            raise RuntimeError("Event loop is closed")
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._order), handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """See asyncio: nothing to do."""

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, Any], **kwargs: Any
    ) -> asyncio.Task[Any]:
        task = asyncio.Task(coro, loop=self, **kwargs)
        self._tasks[task] = None
        return task

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return not self._closed

    def is_closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        self._closed = True

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.process.world.loop_complained(self.process, context)


def new_loop(process: "Process") -> SimLoop:
    return SimLoop(process)  # type: ignore[abstract]  # it lacks what nobody here needs


class SimPrivateLoop:
    """hybrid_tasks.loop.private.PrivateLoop, in a simulated process."""

    def __init__(self, worker: LoopWorker) -> None:
        self._worker = worker
        self._process: Process = worker.runtime.process  # type: ignore[attr-defined]
        self._loop = new_loop(self._process)

    def start(self) -> None:
        """See PrivateLoop."""
        self._loop.start("private loop")
        self._process.loops.append(self._loop)
        self._await(self._open())
        self._worker.runtime.at_exit(self._close)

    async def _open(self) -> None:
        self._worker.open()

    def _close(self) -> None:
        self._await(self._worker.close())
        self._loop.close()

    def _await(self, work: Coroutine[Any, Any, None]) -> None:
        done: Future[None] = Future()

        def begin() -> None:
            task = self._loop.create_task(work)
            task.add_done_callback(lambda task: done.set_result(task.result()))

        self._loop.call_soon(begin)
        threads.wait(done.done)
        done.result(0)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """asyncio.run(), in a simulated thread."""
    process = stage.process()
    assert process is not None
    loop = new_loop(process)
    process.loops.append(loop)
    try:
        main = loop.create_task(work)
        loop.run_until(main.done)
        return main.result()
    finally:
        left = [task for task in loop._tasks if not task.done()]
        for task in left:
            task.cancel()
        loop.run_until(lambda: all(task.done() for task in left))
        loop.close()
        process.loops.remove(loop)
