"""The runtime of a simulated process: its engines run in simulated threads, by its own clock."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from hybrid_tasks.execution.threads import Pool
from hybrid_tasks.loop.worker import Workers
from hybrid_tasks.outbox.dead_letters import Announcer
from hybrid_tasks.outbox.writer import OutboxWriter
from hybrid_tasks.runtime import Clock, Runtime
from tests.world import stage, threads
from tests.world.waiting import Event, Lock
from tests.world.waiting import Pool as SimPool

if TYPE_CHECKING:
    from tests.world.process import Process

POOL_THREADS = 2


class SkewedClock(Clock):
    """What a process takes for the time: the world's, with an offset.

    Nobody reads the same microsecond twice, by which answers differ as in reality.
    """

    def __init__(self, process: "Process") -> None:
        self._process = process
        self._own = timedelta(seconds=process.skew)

    def monotonic(self) -> float:
        return self._process.world.time

    def now(self) -> datetime:
        world = self._process.world
        world.readings += 1
        return world.moment + self._own + timedelta(microseconds=world.readings)


class SimRuntime(Runtime):
    """A Runtime whose threads the world resumes. All else is the real one's."""

    def __init__(self, process: "Process") -> None:
        super().__init__(clock=SkewedClock(process))
        self.process = process
        self.holder = process.name
        self._ends: list[Callable[[], Any]] = []

    def part[P](self, kind: Callable[[Runtime], P]) -> P:
        found: P = super().part(kind if kind in self._parts else self._simulated(kind))
        self._parts[kind] = found
        return found

    def _simulated(self, kind: Any) -> Any:
        """Return what makes a part of that kind here."""
        if kind is Pool:
            return lambda _runtime: SimPool(self.process, "pool", POOL_THREADS)
        if kind is Announcer:
            return self._announcer
        if kind is Workers:
            return self._workers
        return SimWriter if kind is OutboxWriter else kind

    def _announcer(self, _runtime: Runtime) -> Announcer:
        announcer = Announcer(self)
        announcer._thread = SimPool(self.process, "dead", 1)  # type: ignore[assignment]
        return announcer

    def _workers(self, _runtime: Runtime) -> Workers:
        workers = Workers(self)
        workers.starting = Lock()  # type: ignore[assignment]
        return workers

    async def in_thread[**P, T](
        self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        call = partial(function, *args, **kwargs)
        return await asyncio.wrap_future(self.process.call("thread", call))

    def result_of[T](self, future: Future[T], seconds: float) -> T:
        threads.wait(future.done, seconds)
        return future.result(0)

    def at_exit(self, function: Callable[[], Any]) -> None:
        self._ends.append(function)

    def end(self) -> None:
        """Do what a process does when its interpreter ends."""
        for function in reversed(self._ends):
            function()


class SimWriter(OutboxWriter):
    """Tells the world of each renewal."""

    def _renew(self) -> None:
        super()._renew()
        process: Process = self.runtime.process  # type: ignore[attr-defined]
        process.world.renewed(process)


class SimThreading:
    """The module `threading` for engines, whose threads belong to a simulated process."""

    Event = Event

    def __getattr__(self, name: str) -> Any:
        return getattr(threading, name)  # its locks: never held where a simulated thread stops

    class Thread:
        """threading.Thread, in the simulated process whose code makes it."""

        def __init__(self, *, target: Callable[[], Any], name: str, daemon: bool) -> None:
            self._target = target
            self._name = name.removeprefix("hybrid-tasks-")
            self._thread: threads.SimThread | None = None

        def start(self) -> None:
            """See threading.Thread."""
            process = stage.process()
            assert process is not None
            self._thread = process.spawn(self._name, self._target, serves=True)

        def is_alive(self) -> bool:
            """See threading.Thread."""
            return self._thread is not None and self._thread.is_alive()
