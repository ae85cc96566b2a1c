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
    """One thing to run. `id` names it; a higher `priority` starts earlier.

    Attributes:
        reason: why it was stopped, if it was.
        delay: seconds that it had still to wait for its time when it was given back.
    """

    __slots__ = ("_context", "_queued", "_task", "_timer", "delay", "id", "priority", "reason")

    def __init__(self, job_id: str, priority: int = 0) -> None:
        self.id = job_id
        self.priority = priority
        self.reason: Reason | None = None
        self.delay = 0.0
        self._queued = False
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

    @abstractmethod
    def dropped(self, error: BaseException | None) -> None:
        """Note that the job ended, by `error` or a cancellation, without having done its work.

        Nobody had stopped it, and the runner runs it no more.
        """


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
        self._withdrawn = 0  # entries of the heap whose jobs wait no more
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
        return len(self._jobs) >= self.max_running + self.max_waiting

    def open(self) -> None:
        """Take jobs from now on, on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._open = True

    def get(self, job_id: str) -> Job | None:
        return self._jobs.get(job_id)

    def jobs(self) -> list[Job]:
        """Return all jobs that run or wait, also for another thread."""
        return list(self._jobs.values())

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
            job._queued = True
            heapq.heappush(self._heap, (-job.priority, next(self._order), job))

    def _due(self, job: Job) -> None:
        job._timer = None
        self._place(job, 0)

    def _start(self, job: Job) -> None:
        assert self._loop is not None  # noqa: S101 - submit() has checked
        self._running.add(job)
        task = self._loop.create_task(job.run(), context=job._context)
        if not task.done():
            job._task = task
            if job.reason is not None:  # an eager task that has stopped itself in its first step
                task.cancel(job.reason.value)
        task.add_done_callback(lambda task: self._ended(job, task))

    def _ended(self, job: Job, task: asyncio.Task[float | None]) -> None:
        self._running.discard(job)
        job._task = None
        again = self._after(job, task)
        if self._jobs.get(job.id) is not job:  # stopped since its last step
            pass
        elif again is None:
            del self._jobs[job.id]
        elif job.reason is Reason.SHUTDOWN:
            del self._jobs[job.id]
            job.delay = again
            self._given_back.append(job)
        else:
            self._place(job, again)
        self._start_waiting()
        if self._changed is not None:
            self._changed.set()

    def _after(self, job: Job, task: asyncio.Task[float | None]) -> float | None:
        """Return the seconds until a job runs again; None if it does not."""
        error = None if task.cancelled() else task.exception()
        if not task.cancelled() and error is None:
            return task.result()
        if job.reason is Reason.SHUTDOWN and error is None:  # before it had begun anything
            return 0.0
        if job.reason is None:
            logger.error("Job %s ended without having done its work", job.id, exc_info=error)
            job.dropped(error)
        elif error is not None:
            logger.error("Job %s raised, which no job may", job.id, exc_info=error)
        return None

    def _start_waiting(self) -> None:
        while self._heap and len(self._running) < self.max_running:
            *_, job = heapq.heappop(self._heap)
            if job._queued:
                job._queued = False
                self._start(job)
            else:
                self._withdrawn -= 1

    def cancel(self, job_id: str, reason: Reason = Reason.CANCELLED) -> bool:
        """Stop a job; return whether it was here. Whether it ends at once is its own matter."""
        job = self._jobs.get(job_id)
        if job is None or job.reason is not None or has_ended(job):
            return False
        job.reason = reason
        job.stopped(reason)
        if job not in self._running:
            self._withdraw(job)
        elif job._task is None:
            pass  # it is in its first step, and stopped right after it
        elif not job._task.done():
            job._task.cancel(reason.value)
        elif reason is not Reason.SHUTDOWN:  # then it is given back, with the time it has to wait
            self._withdraw(job)
        return True

    def _withdraw(self, job: Job) -> None:
        """Take out a job that does not run, and note how long it had still to wait."""
        del self._jobs[job.id]
        if job._timer is not None and self._loop is not None:
            job.delay = max(0.0, job._timer.when() - self._loop.time())
            job._timer.cancel()
            job._timer = None
        if job._queued:
            job._queued = False
            self._withdrawn += 1
            if self._withdrawn > len(self._heap) // 2:
                self._heap = [entry for entry in self._heap if entry[2]._queued]
                heapq.heapify(self._heap)
                self._withdrawn = 0

    def withdraw_waiting(self) -> list[Job]:
        """Take out and return the jobs that wait, for their turn or for their time."""
        waiting = [job for job in self._jobs.values() if job not in self._running]
        for job in waiting:
            self._withdraw(job)
        return waiting

    async def drain(self, seconds: float, grace: float = 5.0) -> tuple[list[Job], list[Job]]:
        """Take no more jobs and end; return those that may run elsewhere, and those left behind.

        Running and waiting jobs have `seconds` to finish. Then what waits is given back, and what
        runs is cancelled and has `grace` seconds to clean up; what resists is left behind, and may
        still be running when this process ends.
        """
        self._open = False
        self._changed = asyncio.Event()
        await self._until_idle(seconds)
        self._given_back += self.withdraw_waiting()
        for job in list(self._running):
            self.cancel(job.id, Reason.SHUTDOWN)
        await self._until_idle(grace)
        left_behind = list(self._running)
        for job in left_behind:
            logger.error("Job %s did not stop within %g s and is left behind", job.id, grace)
        given_back, self._given_back = self._given_back, []
        return given_back, left_behind

    async def _until_idle(self, seconds: float) -> None:
        assert self._changed is not None  # noqa: S101 - set by drain()
        try:
            async with asyncio.timeout(seconds):
                while self._running:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return


def has_ended(job: Job) -> bool:
    """Return whether a job has done its last step, and will not run again."""
    task = job._task
    return (
        task is not None
        and task.done()
        and not task.cancelled()
        and task.exception() is None
        and task.result() is None
    )
