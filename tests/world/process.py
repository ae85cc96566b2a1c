"""A simulated process: a runtime with threads that the world resumes, until it ends or dies."""

import itertools
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any

from hybrid_tasks.backends.eventloop import workers
from hybrid_tasks.celery.publisher import Publisher
from hybrid_tasks.engine import Engine
from hybrid_tasks.loop.worker import LoopWorker
from tests.world.loop import SimLoop
from tests.world.runtime import SimRuntime
from tests.world.threads import SimThread, current, wait
from tests.world.waiting import fulfil

if TYPE_CHECKING:
    from tests.world.world import World

CALL_SECONDS = 30.0  # that a process which ends waits for what its threads do


class Process:
    """One that has no event loop and serves nobody: a command, a shell, a forked child.

    Attributes:
        name: what it claims rows as; never used again.
        skew: seconds by which its clock is wrong.
        version: which of the tasks its code knows.
        hung: whether it does nothing at the moment, as a virtual machine that is stopped.
        dead: whether it was killed.
        ended: whether it has ended in order.
        cut_short: whether its loop has ended by itself.
        serving: whether what it does for others has begun.
        cuts: how many of its statements did not reach the database.
        lapses: how often it hung, or could not reach the database that others reached.
    """

    kind = "command"

    def __init__(self, world: "World", name: str, *, skew: float = 0.0, version: int = 2) -> None:
        self.world = world
        self.name = name
        self.skew = skew
        self.version = version
        self.hung = False
        self.dead = False
        self.ended = False
        self.serving = True
        self.stopping = False
        self.cut_short = False
        self.lapses = 0
        self.cuts = 0
        self.threads: dict[str, SimThread] = {}
        self.loops: list[SimLoop] = []
        self.runtime = SimRuntime(self)

    def __str__(self) -> str:
        return self.name

    def start(self) -> None:
        """Begin what it does by itself; called as this process."""

    def stop(self) -> None:
        """Begin to end in order; called as this process."""
        self.stopping = True
        self.spawn("exit", self._exit)

    def _exit(self) -> None:
        mine = current()
        calls = [it for it in self.threads.values() if not it.serves and it is not mine]
        wait(lambda: not any(call.is_alive() for call in calls), CALL_SECONDS)
        self.runtime.end()
        pooled = [thread for name, thread in self.threads.items() if name.startswith("pool")]
        wait(lambda: not any(thread.is_alive() for thread in pooled))
        self.ended = True

    def die(self) -> None:
        """Be killed: no thread of it goes on."""
        self.dead = True

    @property
    def alive(self) -> bool:
        return not (self.dead or self.ended)

    @property
    def active(self) -> bool:
        """Whether it is alive and does not hang."""
        return self.alive and not self.hung

    @property
    def lapsed(self) -> bool:
        """Whether it was killed, or could not always look after its rows."""
        ended_unheard = self.ended and self.cuts > 0
        return self.dead or self.hung or self.lapses > 0 or ended_unheard

    def spawn(self, name: str, function: Callable[[], Any], *, serves: bool = False) -> SimThread:
        """Start a thread, under this name or, if one of that name runs, with a number."""
        if self.dead:
            return SimThread(self, name, function)  # which nobody resumes
        if name in self.threads and not self.threads[name].is_alive():
            del self.threads[name]
        if name in self.threads:
            numbered = (f"{name}{number}" for number in itertools.count(2))
            name = next(one for one in numbered if not self.has(one))
        self.threads[name] = thread = SimThread(self, name, function, serves=serves)
        return thread

    def has(self, name: str) -> bool:
        return name in self.threads and self.threads[name].is_alive()

    def call[T](self, name: str, function: Callable[[], T]) -> Future[T]:
        """Call a function in a thread of its own."""
        future: Future[T] = Future()

        def run() -> None:
            if future.set_running_or_notify_cancel():
                fulfil(future, function)

        self.spawn(name, run)
        return future

    def ask(self, name: str, function: Callable[[], Any], told: Callable[[Any], None]) -> None:
        """Call a function in a thread; `told` hears what it returned or the exception it raised."""
        self.call(name, function).add_done_callback(partial(tell, told))

    def runnable(self) -> list[SimThread]:
        """Return the threads that have something to do now."""
        if not self.active:
            return []
        return [thread for thread in list(self.threads.values()) if thread.runnable()]

    def knows(self, kind: str) -> bool:
        """Return whether its code has the tasks of that kind."""
        return kind != "newer" or self.version >= 2

    def engines(self) -> list[Engine[Any, Any]]:
        """Return what works in the background here."""
        return [part for part in self.runtime.steppables if isinstance(part, Engine)]

    def work_exists(self, task_id: str) -> bool:
        """Return whether some work on this task exists here, which must end some time."""
        if any(works(worker, task_id) for worker in workers().values()):
            return True
        return any(isinstance(it, Publisher) and it.peek(task_id) for it in self.engines())

    def drop(self) -> None:
        """Free what a dead process still holds, when the world is over."""
        for thread in self.threads.values():
            thread.doom()
        for loop in self.loops:
            loop.drop()


def tell(told: Callable[[Any], None], future: Future[Any]) -> None:
    if future.cancelled():
        return
    error = future.exception()
    told(future.result() if error is None else error)


def works(worker: LoopWorker, task_id: str) -> bool:
    """Return whether a loop's worker has a job for this task that runs, or will."""
    if task_id in worker._inbox or task_id in worker.outliving:
        return True
    job = worker.runner.get(task_id)
    if job is None:
        return False
    if job in worker.runner._running:  # whose end the loop has perhaps not heard of yet
        return job._task is None or not job._task.done() or bool(worker._loop.ready)  # type: ignore
    return job._queued or (job._timer is not None and not job._timer.cancelled())
