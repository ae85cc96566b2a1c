"""The worker that an event loop is: what one process runs of one backend's tasks."""

import asyncio
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from functools import partial
from typing import Protocol

from hybrid_tasks.exceptions import TaskInterrupted
from hybrid_tasks.execution.attempt import Attempt
from hybrid_tasks.execution.threads import Pool
from hybrid_tasks.loop.job import TaskJob
from hybrid_tasks.loop.runner import Job, Reason, Runner, RunnerClosed, RunnerFull
from hybrid_tasks.options import EventLoopOptions
from hybrid_tasks.outbox.writer import OutboxWriter
from hybrid_tasks.results import states
from hybrid_tasks.results.recorder import Recorder
from hybrid_tasks.results.store import ResultStore
from hybrid_tasks.results.task_result import TaskResult
from hybrid_tasks.runtime import Runtime

logger = logging.getLogger("hybrid_tasks")


class Successor(Protocol):
    """Another backend, which takes over what this worker cannot finish."""

    def reachable(self) -> bool:
        """Return whether what it takes over now would be sent at once."""

    def take_over(self, handed: list[TaskResult], seconds: float) -> list[TaskResult]:
        """Send `handed` on their way, or leave them to the relay; return those in neither place."""


# Seconds by which a request that enqueues from a thread is ahead of its tasks, whose first steps
# would otherwise take the loop before the answer has left. With four tasks an order this brings the
# time to answer back to that without tasks (python -m bench.orders).
HEAD_START = 0.01
FLUSH_SECONDS = 5.0  # for the background threads when the process stops


class LoopWorker:
    """Runs the tasks of one event-loop backend in this process.

    Arguments:
        runtime: of its process.
        options: of the backend.
        store: where results are kept.
        sender: of Django's signals, the backend's class.
        successor: finds the backend that takes over what is left when the process stops.

    Attributes:
        private: whether its loop is no server's, but its own.
    """

    def __init__(
        self,
        runtime: Runtime,
        options: EventLoopOptions,
        store: ResultStore,
        *,
        sender: type,
        successor: Callable[[], Successor | None],
    ) -> None:
        self.runtime = runtime
        self.options = options
        self.store = store
        self.sender = sender
        self.private = False
        self.id = f"loop@{socket.gethostname()}-{os.getpid()}"
        self.recorder = runtime.part(Recorder)
        self.writer = runtime.part(OutboxWriter)
        self.runner = Runner(options.max_running, options.max_waiting)
        self.threads = asyncio.Semaphore(runtime.part(Pool)._max_workers)
        self._successor = successor
        self._inbox: dict[str, TaskJob] = {}  # from other threads, in the order of arrival
        self.outliving: dict[str, TaskJob] = {}  # threads that have outlived their loop
        self._lock = threading.Lock()
        self._accepts = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def open(self) -> None:
        """Take tasks from now on, from any thread, and run them on the running loop."""
        self._loop = asyncio.get_running_loop()
        self.runner.open()
        self.runtime.owners.append(self)
        self._accepts = True

    # --- What it owns ----------------------------------------------------------------------------

    def owned(self) -> Iterable[tuple[str, float]]:
        """See Owner: the rows of durable tasks that run or wait here."""
        lease = self.options.lease
        return [(job.id, lease) for job in self._jobs() if job.durable]

    def lost(self, ids: set[str]) -> None:
        """See Owner."""
        self._called(partial(self._stop_lost, ids))

    def _stop_lost(self, ids: set[str]) -> None:
        for task_id in ids:
            self.runner.cancel(task_id, Reason.LOST)

    def _jobs(self) -> list[TaskJob]:
        waiting = [*self._inbox.values(), *self.outliving.values()]
        return waiting + [job for job in self.runner.jobs() if isinstance(job, TaskJob)]

    # --- What it takes ---------------------------------------------------------------------------

    def save(self, result: TaskResult) -> None:
        self.recorder.record(self.store, result)

    def attempt(self, result: TaskResult) -> Attempt:
        return Attempt(
            result,
            worker_id=self.id,
            sender=self.sender,
            save=self.save,
            limit=self.options.max_bytes,
        )

    def find(self, result_id: str) -> TaskResult | None:
        """Return the present state of a task that this worker holds."""
        job = self._inbox.get(result_id) or self.runner.get(result_id)
        return job.latest if isinstance(job, TaskJob) else None

    def attempts(self, result_id: str) -> bool:
        """Return whether an attempt at a task is being made here."""
        job = self.runner.get(result_id)
        return isinstance(job, TaskJob) and job.attempt is not None

    def waits_with_row(self, result_id: str) -> bool:
        """Return whether a durable task waits here: then its row says whether it is still ours."""
        job = self._inbox.get(result_id) or self.runner.get(result_id)
        return isinstance(job, TaskJob) and job.durable and job.attempt is None

    def admit(self) -> None:
        """Raise RunnerFull or RunnerClosed if another task would find no place now."""
        if not self._accepts:
            raise RunnerClosed
        if self.runner.full or (self._inbox and len(self._inbox) >= self.runner.places):
            raise RunnerFull

    def submit(self, result: TaskResult) -> None:
        """Take a task that was admitted, from any thread. Raises RunnerClosed.

        One that is here already, whose row this process has adopted from itself, stays one.
        """
        if self.find(result.id) is not None:
            return
        job = TaskJob(result, self)
        if self._on_loop():
            self.runner.submit(job, states.delay_of(result), accepted=True)
            return
        with self._lock:
            if not self._accepts or self._loop is None:
                raise RunnerClosed
            self._inbox[job.id] = job
            if not self._called(self._take_in_soon):
                del self._inbox[job.id]
                raise RunnerClosed

    def _on_loop(self) -> bool:
        """Return whether the caller runs on the loop, and not in another thread."""
        return self._loop is not None and asyncio._get_running_loop() is self._loop

    def _take_in_soon(self) -> None:
        if self._loop is not None:
            self._loop.call_later(HEAD_START, self._take_in)

    def _take_in(self) -> None:
        while self._inbox:
            job = next(iter(self._inbox.values()))
            # In the runner before it leaves the inbox: a look-up always finds it.
            try:
                self.runner.submit(job, states.delay_of(job.result), accepted=True)
            except RunnerClosed as error:
                job.dropped(error)
            del self._inbox[job.id]

    def cancel(self, result_id: str) -> Future[bool]:
        """Cancel a task, from any thread; the future tells whether this worker held it."""
        future: Future[bool] = Future()
        if self._on_loop():
            future.set_result(self._cancel(result_id))
        elif not self._called(lambda: future.set_result(self._cancel(result_id))):
            future.set_result(False)
        return future

    def _called(self, function: Callable[[], object]) -> bool:
        """Have something called on the loop; return False if that has ended without a word."""
        try:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(function)
        except RuntimeError:
            return False
        return self._loop is not None

    def _cancel(self, result_id: str) -> bool:
        if result_id in self._inbox:
            self._take_in()
        found = self.find(result_id)
        # The runner hears of a task's end one turn of the loop after its last step.
        return found is not None and not found.is_finished and self.runner.cancel(result_id)

    # --- How it ends -----------------------------------------------------------------------------

    async def close(self) -> None:
        """Hand over what waits, drain what runs, hand over what is left, and store all results.

        Without a successor that can be reached, what waits is drained too. Closed again, it does
        nothing.
        """
        if self._loop is None:
            return
        with self._lock:
            self._accepts = False
        self._take_in()
        seconds = self.options.drain_timeout
        if self.runner.running or self.runner.waiting:
            logger.info(
                "%s drains %d running and %d waiting tasks, for up to %g s",
                *(self.id, self.runner.running, self.runner.waiting, seconds),
            )
        successor = self._successor()
        async with asyncio.TaskGroup() as group:
            drained = group.create_task(self.runner.drain(seconds))
            if (
                successor
                and self.runner.waiting
                and await self.runtime.in_thread(successor.reachable)
            ):
                # Not started here: one that did not end in time would have lost its attempt.
                waiting = self.runner.withdraw_waiting()
                group.create_task(self._hand_over(waiting, successor, seconds + FLUSH_SECONDS))
        given_back, left_behind = drained.result()
        await self._hand_over(given_back, successor, FLUSH_SECONDS)
        await self._leave_behind(left_behind, successor)
        if not self.runner.jobs():
            self.runtime.owners.remove(self)
        # Messages, too: a server that ends by the signal it got does nothing at its exit.
        try:
            await self.runtime.in_thread(self.runtime.flush, FLUSH_SECONDS)
        except RuntimeError:  # Python before 3.12.3 starts no thread while it exits
            if not self.private:
                raise
            self.runtime.flush(FLUSH_SECONDS)
        self._loop = None

    async def _hand_over(
        self, jobs: list[Job], successor: Successor | None, seconds: float
    ) -> None:
        """Give `jobs` to the successor within `seconds`; what does not go ends as interrupted.

        Durable ones that do not go, or have to wait for long, are left to the relay.
        """
        left = {job.id: job for job in jobs if isinstance(job, TaskJob)}
        if not left:
            return
        # A row that has to wait says so itself: the broker would deliver it too soon.
        for job in [job for job in left.values() if job.durable and job.delay > 0]:
            job.give_back(job.delay)
            del left[job.id]
        handed = [states.delayed(job.result, job.delay) for job in left.values()]
        unsent = await self._take_over(handed, successor, seconds)
        logger.info("%s handed %d tasks over", self.id, len(jobs) - len(unsent))
        for result in unsent:
            if left[result.id].durable:
                self.writer.release(result.id)
            else:
                left[result.id].fail(TaskInterrupted())

    async def _leave_behind(self, jobs: list[Job], successor: Successor | None) -> None:
        """Hand over what may run elsewhere although it still runs here."""
        mine = [job for job in jobs if isinstance(job, TaskJob)]
        handed = {job.id: result for job in mine if (result := job.leave_behind())}
        for result in await self._take_over(list(handed.values()), successor, FLUSH_SECONDS):
            self.attempt(result).fail(TaskInterrupted())

    async def _take_over(
        self, handed: list[TaskResult], successor: Successor | None, seconds: float
    ) -> list[TaskResult]:
        """Give tasks to the successor; return those that did not go."""
        if not handed or successor is None:
            return handed
        for result in handed:
            self.save(result)
        return await self.runtime.in_thread(successor.take_over, handed, seconds)


class Workers(dict[str, LoopWorker]):
    """The workers of a process by backend alias.

    Not in the backends, of which Django makes one for each thread and request.
    """

    def __init__(self, _runtime: Runtime) -> None:
        super().__init__()
        self.starting = threading.Lock()  # held by the thread that starts a private loop
