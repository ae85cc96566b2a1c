"""Runs jobs on one event loop: bounded, by priority, cancellable, drainable. Knows asyncio only.

Learnt from aiojobs' Scheduler and procrastinate's worker: hold every task strongly, refuse the
wrong loop, stop in two stages.
"""

import asyncio
import heapq
import itertools
import logging
from abc import ABC, abstractmethod
from contextvars import Context, ContextVar
from enum import Enum
from typing import Any

logger = logging.getLogger("hybrid_tasks")

_carried: list[ContextVar[Any]] = []


def carry[T](variable: ContextVar[T]) -> ContextVar[T]:
    """Let jobs see the value that `variable` has where they are submitted; return `variable`.

    All others are unset in a job: a request's context, its ORM thread and its span are not its own.
    """
    _carried.append(variable)
    return variable


class Reason(Enum):
    """Why a job was stopped."""

    CANCELLED = "cancelled by a person"
    SHUTDOWN = "the process is stopping"
    LOST = "another process has taken it over"


class RunnerFull(Exception):
    """As many jobs wait as may."""


class RunnerClosed(Exception):
    """The runner is draining or was never opened."""


class WrongLoop(Exception):
    """A runner can be used on the event loop only that it was opened on."""


class Job(ABC):
    """One thing to run. `id` names it; a higher `priority` starts earlier."""

    __slots__ = ("_context", "_task", "_timer", "id", "priority", "reason")

    def __init__(self, job_id: str, priority: int = 0) -> None:
        self.id = job_id
        self.priority = priority
        self.reason: Reason | None = None
        self._task: asyncio.Task[float | None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._context = Context()
        for variable in _carried:
            value = variable.get(None)
            if value is not None:
                self._context.run(variable.set, value)

    @abstractmethod
    async def run(self) -> float | None:
        """Do the work; return the seconds after which to run again, or None when done."""

    @abstractmethod
    def stopped(self, reason: Reason) -> None:
        """Note that the job was stopped; what runs is cancelled next, what waits never starts."""


class Runner:
    """Runs jobs on the loop it is opened on.

    Arguments:
        max_running: how many jobs run at once.
        max_waiting: how many more may wait, for their turn or for their time.
    """

    def __init__(self, max_running: int = 100, max_waiting: int = 10_000) -> None:
        self.max_running = max_running
        self.max_waiting = max_waiting
        self._loop: asyncio.AbstractEventLoop | None = None
        self._jobs: dict[str, Job] = {}
        self._running: set[Job] = set()
        self._heap: list[tuple[int, int, Job]] = []
        self._order = itertools.count()
        self._open = False
        self._given_back: list[Job] = []
        self._changed: asyncio.Event | None = None

    @property
    def running(self) -> int:
        return len(self._running)

    @property
    def waiting(self) -> int:
        """How many jobs wait, for their turn or for their time."""
        return len(self._jobs) - len(self._running)

    @property
    def places(self) -> int:
        """How many more jobs would find a place, to run or to wait."""
        return max(0, self.max_running + self.max_waiting - len(self._jobs))

    @property
    def full(self) -> bool:
        return len(self._running) >= self.max_running and self.waiting >= self.max_waiting

    def open(self) -> None:
        """Take jobs from now on, on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._open = True

    def get(self, job_id: str) -> Job | None:
        return self._jobs.get(job_id)

    def submit(self, job: Job, delay: float = 0.0, *, accepted: bool = False) -> None:
        """Run `job` as soon as there is a place, or after `delay` seconds.

        With `accepted` it is taken even where `max_waiting` is reached: it was promised a place.
        Raises RunnerFull, RunnerClosed or WrongLoop; the job is not taken then.
        """
        if asyncio.get_running_loop() is not self._loop:
            raise WrongLoop(f"{self!r} runs on {self._loop!r}.")
        if not self._open:
            raise RunnerClosed("The runner takes no more jobs.")
        if not accepted and self.full:
            raise RunnerFull(f"{self.running} jobs run and {self.waiting} wait.")
        self._jobs[job.id] = job
        self._place(job, delay)

    def _place(self, job: Job, delay: float) -> None:
        assert self._loop is not None  # noqa: S101 - submit() has checked
        if delay > 0:
            job._timer = self._loop.call_later(delay, self._due, job)
        elif len(self._running) < self.max_running:
            self._start(job)
        else:
            heapq.heappush(self._heap, (-job.priority, next(self._order), job))

    def _due(self, job: Job) -> None:
        job._timer = None
        self._place(job, 0)

    def _start(self, job: Job) -> None:
        assert self._loop is not None  # noqa: S101 - submit() has checked
        self._running.add(job)
        job._task = task = self._loop.create_task(job.run(), context=job._context)
        task.add_done_callback(lambda task: self._ended(job, task))

    def _ended(self, job: Job, task: asyncio.Task[float | None]) -> None:
        self._running.discard(job)
        job._task = None
        again = None
        if task.cancelled():  # before its first step: there is nothing to finish
            again = 0.0 if job.reason is Reason.SHUTDOWN else None
        elif error := task.exception():
            logger.error("Job %s raised, which no job may", job.id, exc_info=error)
        else:
            again = task.result()
        if again is None:
            del self._jobs[job.id]
        elif job.reason is Reason.SHUTDOWN:
            del self._jobs[job.id]
            self._given_back.append(job)
        else:
            self._place(job, again)
        while self._heap and len(self._running) < self.max_running:
            self._start_next()
        if self._changed is not None:
            self._changed.set()

    def _start_next(self) -> None:
        *_, job = heapq.heappop(self._heap)
        if job.reason is None:
            self._start(job)

    def cancel(self, job_id: str, reason: Reason = Reason.CANCELLED) -> bool:
        """Stop a job; return whether it was here. Whether it ends at once is its own matter."""
        job = self._jobs.get(job_id)
        if job is None or job.reason is not None:
            return False
        job.reason = reason
        job.stopped(reason)
        if job._task is not None:
            job._task.cancel(reason.value)
        else:
            self._withdraw(job)
        return True

    def _withdraw(self, job: Job) -> None:
        """Take out a job that has not started; the heap passes over it when its turn comes."""
        del self._jobs[job.id]
        if job._timer is not None:
            job._timer.cancel()
            job._timer = None

    def withdraw_waiting(self) -> list[Job]:
        """Take out and return the jobs that wait, for their turn or for their time."""
        waiting = [job for job in self._jobs.values() if job not in self._running]
        for job in waiting:
            self._withdraw(job)
        self._heap.clear()
        return waiting

    async def drain(self, seconds: float, grace: float = 5.0) -> list[Job]:
        """Take no more jobs and end; return those that did not finish and may run elsewhere.

        Running and waiting jobs have `seconds` to finish. Then what waits is given back, and what
        runs is cancelled and has `grace` seconds to clean up; what does not is left behind.
        """
        self._open = False
        self._changed = asyncio.Event()
        await self._until_idle(seconds)
        self._given_back += self.withdraw_waiting()
        for job in list(self._running):
            self.cancel(job.id, Reason.SHUTDOWN)
        await self._until_idle(grace)
        for job in self._running:
            logger.error("Job %s did not stop within %g s and is left behind", job.id, grace)
        given_back, self._given_back = self._given_back, []
        return given_back

    async def _until_idle(self, seconds: float) -> None:
        assert self._changed is not None  # noqa: S101 - set by drain()
        try:
            async with asyncio.timeout(seconds):
                while self._running:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return
