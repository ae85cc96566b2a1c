"""The runtime: what one process knows of its tasks, in one object.

Recorder, publisher, outbox and workers are its parts. A forked child gets a runtime of its own, and
several can live in one interpreter: each can be stepped by hand, without its threads and with a
clock that is handed in.
"""

import asyncio
import atexit
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol

logger = logging.getLogger("hybrid_tasks")

FORK_SECONDS = 2.0  # that a fork waits for what hangs in the background


class Clock:
    """The clocks of a process; a test hands in one of its own."""

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()

    def now(self) -> datetime:
        """Return the time of day, as this machine has it."""
        return datetime.now(UTC)


class Owner(Protocol):
    """A part that holds work which owns rows of the outbox.

    There is no other list of what is owned: a row's lease is renewed because a job, a message or a
    delivery exists that names it.
    """

    def owned(self) -> Iterable[tuple[str, float]]:
        """Return the ids of tasks whose rows this work owns, with the seconds of their leases."""

    def lost(self, ids: set[str]) -> None:
        """Stop the work on rows that other processes have taken over; called from any thread."""


class Steppable(Protocol):
    """A part with work in the background."""

    def step(self) -> bool:
        """Do what there is to do now; return False if the other side is away."""

    def flush(self, seconds: float) -> bool:
        """Do all that waits; return whether that was done within `seconds`."""

    def __len__(self) -> int:
        """Return how much waits."""


class Lock(Protocol):
    """One that its thread may take more than once."""

    def acquire(self, blocking: bool = ..., timeout: float = ...) -> bool: ...

    def release(self) -> None: ...


class Runtime:
    """One process, or one of several simulated ones.

    Arguments:
        threads: whether parts work in threads of their own; without, they are stepped by hand.
        clock: what this process takes for the time.

    Attributes:
        holder: the name under which this process claims rows; nobody else ever had it.
        owners: the parts that own rows.
        busy: what threads in the background hold while they do something.
    """

    def __init__(self, *, threads: bool = True, clock: Clock | None = None) -> None:
        self.threads = threads
        self.clock = clock or Clock()
        self.holder = holders_of(os.getpid()) + uuid.uuid4().hex[:8]
        self.owners: list[Owner] = []
        self.steppables: list[Steppable] = []
        self.busy: list[Lock] = []
        self._pid = os.getpid()
        self._parts: dict[Callable[..., Any], Any] = {}
        self._lock = threading.RLock()
        self._at_exit: list[Callable[[], Any]] = []

    def part[P](self, kind: Callable[["Runtime"], P]) -> P:
        """Return this runtime's part of that kind, made by its first use."""
        found: P | None = self._parts.get(kind)
        if found is not None:
            return found
        with self._lock:
            if kind not in self._parts:
                self._parts[kind] = kind(self)
            made: P = self._parts[kind]
            return made

    def owned(self) -> dict[str, float]:
        """Return the ids of all tasks whose rows are owned here, with the seconds of the leases."""
        return {task_id: lease for owner in self.owners for task_id, lease in owner.owned()}

    def result_of[T](self, future: Future[T], seconds: float) -> T:
        """Wait for what another thread does; by hand, step until it is done. Raises TimeoutError.

        What the future raises is raised here.
        """
        if not self.threads and not future.done():
            self.step()
            return future.result(0)
        return future.result(seconds)

    def step(self) -> None:
        """Let each part do what it has to do in the background."""
        for part in list(self.steppables):
            part.step()

    def flush(self, seconds: float) -> bool:
        """Let each part do all that waits, also what one of them then gives another.

        Returns whether that was done within `seconds`.
        """
        deadline = self.clock.monotonic() + seconds
        while waiting := [part for part in self.steppables if len(part)]:
            left = max(0.0, deadline - self.clock.monotonic())
            if not min([part.flush(left) for part in waiting]):  # each of them, whatever one says
                return False
        return True

    async def in_thread[**P, T](
        self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a blocking call of our own in a thread; by hand, at once.

        Not in the loop's default pool: the project's own code may hold all of its threads. And
        asyncio.to_thread() would copy the context, and in each copy Django connects its caches
        anew.
        """
        if not self.threads:
            return function(*args, **kwargs)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.part(Helpers), partial(function, *args, **kwargs))

    def at_exit(self, function: Callable[[], Any]) -> None:
        """Call `function` when this process ends, while thread pools still take work.

        What came last is called first, whatever others raise. A forked child, which has nothing of
        this to do, does not.
        """
        with self._lock:
            if not self._at_exit:
                # `atexit` comes after the executors' own shutdown, so this is the hook that they
                # use, where the interpreter has it.
                getattr(threading, "_register_atexit", atexit.register)(self._end)
            self._at_exit.append(function)

    def _end(self) -> None:
        if os.getpid() == self._pid:
            for function in reversed(self._at_exit):
                try:
                    function()
                except Exception:
                    logger.exception("%r could not end in order", function)


class Helpers(ThreadPoolExecutor):
    """The threads for blocking calls of this package itself, such as look-ups of results.

    As many as Python's own default.
    """

    def __init__(self, _runtime: Runtime) -> None:
        threads = min(32, (os.cpu_count() or 1) + 4)
        super().__init__(threads, thread_name_prefix="hybrid-tasks-helper")


def holders_of(pid: int) -> str:
    """Return how the name begins under which a process of this machine claims rows."""
    return f"{socket.gethostname()[:60]}-{pid}-"


_current = Runtime()


def current() -> Runtime:
    """Return the runtime of this process."""
    return _current


def now() -> datetime:
    """Return the time of day as this process has it."""
    return _current.clock.now()


@contextmanager
def use(runtime: Runtime) -> Iterator[Runtime]:
    """Let `runtime` be the current one in the block, in all threads."""
    global _current
    before, _current = _current, runtime
    try:
        yield runtime
    finally:
        _current = before


_held = threading.local()  # by a thread that forks


def _wait_for_threads() -> None:
    """Let no thread in the background be in the midst of something when this process forks.

    What it holds then, such as the lock of a module that is being imported, nobody in the child
    would ever release.
    """
    deadline = time.monotonic() + FORK_SECONDS
    _held.locks = [
        lock
        for lock in list(_current.busy)
        if lock.acquire(timeout=max(0.0, deadline - time.monotonic()))
    ]


def _let_threads_go_on() -> None:
    for lock in _held.locks:
        lock.release()


def _begin_anew() -> None:
    """Give a forked child a runtime: the parent's threads, connections and work are not its own."""
    global _current
    _current = Runtime()


os.register_at_fork(
    before=_wait_for_threads,
    after_in_parent=_let_threads_go_on,
    after_in_child=_begin_anew,
)
