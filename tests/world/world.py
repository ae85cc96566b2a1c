"""The world: processes, time, and everything outside of them, under the hand of a history."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from datetime import datetime, timedelta
from random import Random
from typing import Any

from greenlet import getcurrent

from hybrid_tasks import runtime
from hybrid_tasks.results.states import encoded_rank
from hybrid_tasks.results.store import KEY_PREFIX
from hybrid_tasks.results.task_result import Rank
from tests.world import database
from tests.world.broker import Broker
from tests.world.cache import Kept
from tests.world.entry import FIRST, Entry, Reading
from tests.world.faults import Faults
from tests.world.ledger import Ledger
from tests.world.process import Process
from tests.world.threads import SimThread
from tests.world.worker import Worker

LONG = (
    1.0  # seconds: while more of them pass, threads of the living go on; only loops may be blocked
)
TURNS = 20_000  # that processes may take in one moment; more is a loop without an end


class World:
    """All of it.

    Arguments:
        chance: picks the next callback of a loop; without, they come in the order of asyncio.

    Attributes:
        time: seconds since its beginning.
        scheduler: the greenlet that resumes all threads.
        context: the context variables that threads begin with.
        processes: by name, in the order in which they were started.
        problems: what was found wrong.
        async_receivers: whether signals have async receivers.
        well: whether all is made well, at the end; what hung may end then.
    """

    def __init__(self, chance: Random | None = None) -> None:
        self.time = 0.0
        self.readings = 0  # of all clocks
        self._chance = chance
        self.scheduler = getcurrent()
        self.context = copy_context()
        self.processes: dict[str, Process] = {}
        self.problems: list[str] = []
        self.faults = Faults()
        self.cache = Kept()
        self.broker = Broker()
        self.ledger = Ledger(self)
        self.async_receivers = False
        self.well = False

    @property
    def moment(self) -> datetime:
        return database.BEGINNING + timedelta(seconds=self.time)

    def picked(self, number: int) -> int:
        """Return which of so many callbacks a loop runs next."""
        return self._chance.randrange(number) if self._chance is not None and number > 1 else 0

    def blame(self, problem: str) -> None:
        """Note that a promise was broken."""
        self.problems.append(problem)

    # --- Processes -------------------------------------------------------------------------------

    def start(self, process: Process) -> None:
        self.processes[process.name] = process
        with acting(process):
            process.start()

    def active(self) -> list[Process]:
        """Return the processes that run."""
        return [process for process in self.processes.values() if process.active]

    def workers(self) -> list[Worker]:
        return [process for process in self.processes.values() if isinstance(process, Worker)]

    def crash(self, process: Process) -> None:
        """Kill a process: none of its threads goes on."""
        process.die()

    def resume(self, thread: SimThread, points: int = 0) -> None:
        """Let a thread go on; see SimThread.resume()."""
        with acting(thread.process):
            asyncio._set_running_loop(thread.running_loop)
            thread.resume(points)
            thread.running_loop = asyncio._get_running_loop()
            asyncio._set_running_loop(None)

    def settle(self, *processes: Process) -> None:
        """Let processes, or all, do all that they can do at this moment."""
        for _ in range(TURNS):
            some = processes or self.active()
            runnable = [thread for process in some for thread in process.runnable()]
            if not runnable:
                return
            for thread in runnable:
                if thread.process.active and thread.runnable():
                    self.resume(thread)
        self.blame(f"{', '.join(map(str, processes or self.active()))} never come to rest")

    # --- Time ------------------------------------------------------------------------------------

    def pass_time(self, seconds: float) -> None:
        """Let time pass. In a long one, those who live do in time what is due in the background."""
        end = self.time + seconds
        while seconds > LONG:
            self._serve()
            due = self.next_deadline(loops=False)
            if due is None or due > end:
                break
            self.time = max(self.time, due)
        self.time = max(self.time, end)
        self.broker.restore_late(self.time)

    def _serve(self) -> None:
        for process in self.active():
            for thread in process.runnable():
                if not thread.is_loop:
                    self.resume(thread)

    def next_deadline(self, *, loops: bool = True) -> float | None:
        """Return when the next thread goes on by itself; perhaps of those only that run no loop."""
        deadlines = [
            thread.deadline
            for process in self.active()
            for thread in process.threads.values()
            if thread.deadline is not None and thread.is_alive() and (loops or not thread.is_loop)
        ]
        return min(deadlines, default=None)

    # --- What those outside can see --------------------------------------------------------------

    def kept_rank(self, entry: Entry) -> Rank:
        """Return the rank of the state that the cache has, as anybody could read it."""
        text = self.cache.peek(KEY_PREFIX + entry.id)
        digits = encoded_rank(text) if text else ""
        return (int(digits[:3]), int(digits[3:9]), int(digits[9:])) if digits else FIRST

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of the outbox."""
        return database.read_rows()

    def forget(self, entry: Entry) -> bool:
        """Let the cache lose the state of a task; what was known of it may be unknown then."""
        entry.forget()
        return bool(entry.id) and self.cache.forget(KEY_PREFIX + entry.id)

    def not_found(self, entry: Entry, process: Process, before: Reading) -> None:
        """Judge that a task which was accepted is not found.

        Others than the process that knows it may hear of it a little later, but not while it has a
        row. What the cache forgot is lost if there is no row, too.
        """
        if entry.forgets or process.cuts > before.cuts:  # it could not ask for the row
            return
        if not process.knows(entry.spec.kind):
            return
        has_row = before.has_row and any(row["id"] == entry.id for row in self.rows())
        if has_row or (process is entry.process and not before.forgets):
            self.blame(f"{process} does not find {entry.label}, which was accepted")

    # --- What happens by itself ------------------------------------------------------------------

    def thread_died(self, thread: SimThread) -> None:
        self.blame(f"thread {thread.name!r} of {thread.process} died of {thread.error!r}")

    def loop_complained(self, process: Process, context: dict[str, Any]) -> None:
        if process.alive:
            self.blame(f"the loop of {process} complains: {context.get('exception', context)!r}")

    def renewed(self, process: Process) -> None:
        """Judge a renewal of leases: what is owned must be work that exists."""
        for task_id in process.runtime.owned():
            entry = self.ledger.by_id(task_id)
            if entry is not None and not process.work_exists(task_id):
                self.blame(f"{process} renews the lease of {entry.label}, on which nothing works")

    def drop(self) -> None:
        """Free all threads that have not ended."""
        for process in self.processes.values():
            process.dead = True
            with acting(process):
                process.drop()


@contextmanager
def acting(process: Process) -> Iterator[None]:
    """Let the code of the core run as that process."""
    with runtime.use(process.runtime):
        yield
