"""Threads of simulated processes: greenlets that run only when the world resumes them.

Each stops at *points*, where a real thread would wait for the database, the cache or the broker: in
between, others may go on, or its process may die. What blocks, blocks until its time has come by
the world's clock.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from greenlet import GreenletExit, getcurrent, greenlet

from tests.world import stage

if TYPE_CHECKING:
    from tests.world.process import Process

SHORTEST = 0.001  # seconds that a wait takes: less would be lost in the rounding of floats

type Predicate = Callable[[], bool]


def never() -> bool:
    return False


class SimThread(greenlet):
    """One thread of a process.

    Attributes:
        process: whose thread it is.
        name: what histories call it; unique in its process.
        place: the point before which it stopped, or "" if it waits or has not begun.
        is_loop: whether it runs an event loop, which what runs on it may block.
        serves: whether it is a background thread, which a living process runs in time.
    """

    def __init__(
        self, process: "Process", name: str, function: Callable[[], Any], *, serves: bool = False
    ) -> None:
        super().__init__(self._main, process.world.scheduler)
        self.gr_context = process.world.context.copy()
        self.process = process
        self.name = name
        self.serves = serves
        self.place = ""
        self.is_loop = False
        self.doomed = False
        self.error: BaseException | None = None
        self._function = function
        self._interrupts: list[Callable[[], None]] = []
        self._budget = 0
        self._ready: Predicate | None = None
        self._deadline: float | None = None
        self.running_loop: Any = None

    def _main(self) -> None:
        try:
            self._function()
        except GreenletExit:
            pass
        except BaseException as error:  # noqa: BLE001 - the world judges it
            self.error = error

    @property
    def now(self) -> float:
        return self.process.world.time

    @property
    def deadline(self) -> float | None:
        """When it goes on by itself, while it waits."""
        return self._deadline if self._ready is not None else None

    def is_alive(self) -> bool:
        """See threading.Thread."""
        return not self.dead and not self.doomed

    def join(self, seconds: float | None = None) -> None:
        """See threading.Thread."""
        wait(lambda: not self.is_alive(), seconds)

    def runnable(self) -> bool:
        """Return whether it has something to do now."""
        if not self.is_alive():
            return False
        if self._ready is None or self._interrupts or self._ready():
            return True
        return self._deadline is not None and self._deadline <= self.now

    def resume(self, points: int = 0) -> None:
        """Let it run up to the `points`-th point from here; with 0 until it waits or ends.

        Called by the world only, which has made the thread's process the current one.
        """
        self._budget = points or -1
        self.place = ""
        self.switch()
        if self.error is not None:
            self.process.world.thread_died(self)

    def doom(self) -> None:
        """End it without letting its process do anything more."""
        self.doomed = True
        while not self.dead and self:
            self.throw(GreenletExit)

    def interrupt(self, handler: Callable[[], None]) -> None:
        """Let a signal's handler run in it as soon as it goes on."""
        self._interrupts.append(handler)

    def reach(self, place: str) -> None:
        """Stop before `place` if it was to run no further."""
        if self.doomed:
            raise GreenletExit
        self._budget -= 1
        if self._budget == 0:
            self.place = place
            self._leave()

    def pause(self) -> None:
        """Stop here, and go on when resumed."""
        self._leave()

    def wait(self, ready: Predicate, seconds: float | None) -> bool:
        """Stop until it is ready, or the seconds are over; return whether it is ready."""
        if seconds is not None and seconds > 0:
            seconds = max(seconds, SHORTEST)
        self._deadline = None if seconds is None else self.now + seconds
        self._ready = ready
        try:
            while not ready() and (self._deadline is None or self.now < self._deadline):
                self._leave()
        finally:
            self._ready = self._deadline = None
        return ready()

    def _leave(self) -> None:
        self.parent.switch()
        if self.doomed:
            raise GreenletExit
        if self._interrupts:
            self._interrupts.pop(0)()


def current() -> SimThread | None:
    """Return the simulated thread that runs; None in the world's own."""
    running = getcurrent()
    return running if isinstance(running, SimThread) else None


def point(place: str) -> None:
    """Mark a place at which a real thread would wait for something outside its process.

    There the code of a process that is dead, of which only the remains are cleared away, ends.
    """
    thread = current()
    process = stage.process()
    if process is not None and process.dead:
        raise GreenletExit
    if thread is not None and not stage.transacting():
        thread.reach(place)


def wait(ready: Predicate, seconds: float | None = None) -> bool:
    """Wait as a real thread would, until `ready` or for some seconds; return whether it is."""
    thread = current()
    return ready() if thread is None else thread.wait(ready, seconds)


def pause() -> None:
    """Let others go on, and go on when resumed."""
    thread = current()
    if thread is not None:
        thread.pause()


def sleep(seconds: float) -> None:
    """Wait by the world's clock."""
    wait(never, seconds)
