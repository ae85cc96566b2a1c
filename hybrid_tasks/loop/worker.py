"""The worker that an event loop is: what one process runs of one backend's tasks."""

import asyncio
import logging
import os
import socket
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol

from hybrid_tasks.exceptions import TaskCancelled, TaskInterrupted, TaskLost
from hybrid_tasks.execution import Attempt, acall
from hybrid_tasks.loop.runner import Job, Reason, Runner, RunnerClosed, RunnerFull
from hybrid_tasks.options import EventLoopOptions
from hybrid_tasks.outbox.settling import settle_ended
from hybrid_tasks.outbox.writer import writer
from hybrid_tasks.results import states
from hybrid_tasks.results.recorder import recorder
from hybrid_tasks.results.store import ResultStore
from hybrid_tasks.results.task_result import TaskResult
from hybrid_tasks.tasks import extended

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
FLUSH_SECONDS = 5.0  # for each of the background threads when the process stops


STOPS: dict[Reason, type[TaskCancelled | TaskInterrupted | TaskLost]] = {
    Reason.CANCELLED: TaskCancelled,
    Reason.SHUTDOWN: TaskInterrupted,
    Reason.LOST: TaskLost,
}


class TaskJob(Job):
    """A task on its way through a runner."""

    __slots__ = ("attempt", "result", "worker")

    def __init__(self, result: TaskResult, worker: "LoopWorker") -> None:
        super().__init__(result.id, result.task.priority)
        self.result = result
        self.worker = worker
        self.attempt: Attempt | None = None

    async def run(self) -> float | None:
        if self.durable and not await self._claim_attempt():
            return None
        self.attempt = attempt = self.worker.attempt(self.result)
        await acall(attempt)
        self.result = attempt.result
        self.attempt = None
        if self.durable and self.reason is not Reason.LOST:
            self._settle(attempt)
        return attempt.delay

    async def _claim_attempt(self) -> bool:
        """Count an attempt; return False if this process must not make it."""
        try:
            won = await writer.astart(self.id, self.worker.options.lease)
        except Exception:
            # Not the database being away, which is waited for. Held on to, it would never run.
            logger.exception("Task id=%s cannot be started: left to the relay", self.id)
            writer.release(self.id)
            return False
        if not won:
            logger.warning("Task id=%s goes on elsewhere: not started here", self.id)
            writer.forget([self.id])
        return won

    def _settle(self, attempt: Attempt) -> None:
        if attempt.delay is not None:
            writer.note_failure(attempt.result)
        else:
            settle_ended(attempt)

    def stopped(self, reason: Reason) -> None:
        if self.attempt is not None:
            self.attempt.stop = STOPS[reason]
        elif reason is Reason.CANCELLED:
            self.fail(TaskCancelled())

    def fail(self, error: BaseException) -> None:
        """End the task without another attempt."""
        attempt = self.worker.attempt(self.result)
        attempt.fail(error)
        self.result = attempt.result
        if self.durable:
            settle_ended(attempt)

    @property
    def durable(self) -> bool:
        return extended(self.result.task).durable

    @property
    def latest(self) -> TaskResult:
        return self.attempt.result if self.attempt else self.result


class LoopWorker:
    """Runs the tasks of one event-loop backend in this process.

    Arguments:
        options: of the backend.
        store: where results are kept.
        sender: of Django's signals, the backend's class.
        successor: finds the backend that takes over what is left when the process stops.
    """

    def __init__(
        self,
        options: EventLoopOptions,
        store: ResultStore,
        *,
        sender: type,
        successor: Callable[[], Successor | None],
    ) -> None:
        self.options = options
        self.store = store
        self.sender = sender
        self.id = f"loop@{socket.gethostname()}-{os.getpid()}"
        self._successor = successor
        self.runner = Runner(options.max_running, options.max_waiting)
        self._inbox: deque[TaskJob] = deque()
        self._lock = threading.Lock()
        self._accepts = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0

    def open(self) -> None:
        """Take tasks from now on, from any thread, and run them on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self.runner.open()
        writer.listeners.append(self._lose)
        self._accepts = True

    def save(self, result: TaskResult) -> None:
        recorder.record(self.store, result)

    def attempt(self, result: TaskResult) -> Attempt:
        return Attempt(result, worker_id=self.id, sender=self.sender, save=self.save)

    def find(self, result_id: str) -> TaskResult | None:
        """Return the present state of a task that this worker holds."""
        job = self.runner.get(result_id)
        return job.latest if isinstance(job, TaskJob) else None

    def admit(self) -> None:
        """Raise RunnerFull or RunnerClosed if another task would find no place now."""
        if not self._accepts:
            raise RunnerClosed
        if self.runner.full or (
            self._inbox and len(self._inbox) + self.runner.waiting >= self.options.max_waiting
        ):
            raise RunnerFull

    def submit(self, result: TaskResult) -> None:
        """Take a task that was admitted, from any thread. Raises RunnerClosed."""
        job = TaskJob(result, self)
        if threading.get_ident() == self._thread:
            self.runner.submit(job, states.delay_of(result), accepted=True)
            return
        with self._lock:
            if not self._accepts or self._loop is None:
                raise RunnerClosed
            self._inbox.append(job)
            self._loop.call_soon_threadsafe(self._take_in_soon)

    def _take_in_soon(self) -> None:
        if self._loop is not None:
            self._loop.call_later(HEAD_START, self._take_in)

    def _take_in(self) -> None:
        while self._inbox:
            job = self._inbox.popleft()
            self.runner.submit(job, states.delay_of(job.result), accepted=True)

    def cancel(self, result_id: str) -> Future[bool]:
        """Cancel a task, from any thread; the future tells whether this worker held it."""
        future: Future[bool] = Future()
        if threading.get_ident() == self._thread:
            future.set_result(self._cancel(result_id))
        elif self._accepts and self._loop is not None:
            self._loop.call_soon_threadsafe(lambda: future.set_result(self._cancel(result_id)))
        else:
            future.set_result(False)
        return future

    def _cancel(self, result_id: str) -> bool:
        found = self.find(result_id)
        # The runner hears of a task's end one turn of the loop after its last step.
        return found is not None and not found.is_finished and self.runner.cancel(result_id)

    def _lose(self, ids: set[str]) -> None:
        """Stop tasks whose rows another process has taken over; called in the writer's thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop_lost, ids)

    def _stop_lost(self, ids: set[str]) -> None:
        for task_id in ids:
            self.runner.cancel(task_id, Reason.LOST)

    async def close(self) -> None:
        """Hand over what waits, drain what runs, hand over what is left, and store all results.

        Without a successor that can be reached, what waits is drained too.
        """
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
            if successor and self.runner.waiting and await asyncio.to_thread(successor.reachable):
                # Not started here: one that did not end in time would have lost its attempt.
                waiting = self.runner.withdraw_waiting()
                group.create_task(self._hand_over(waiting, successor, seconds + FLUSH_SECONDS))
        await self._hand_over(drained.result(), successor, FLUSH_SECONDS)
        writer.listeners.remove(self._lose)
        await asyncio.to_thread(self._flush)

    @staticmethod
    def _flush() -> None:
        recorder.flush(FLUSH_SECONDS)
        writer.flush(FLUSH_SECONDS)

    async def _hand_over(
        self, jobs: list[Job], successor: Successor | None, seconds: float
    ) -> None:
        """Give `jobs` to the successor within `seconds`; what does not go ends as interrupted.

        Durable ones that do not go are left to the relay.
        """
        left = {job.id: job for job in jobs if isinstance(job, TaskJob)}
        if not left:
            return
        lost = list(left)
        if successor is not None:
            # Written later, what is known here could replace what a quick worker has stored.
            await asyncio.to_thread(recorder.flush, FLUSH_SECONDS)
            handed = [job.result for job in left.values()]
            unsent = await asyncio.to_thread(successor.take_over, handed, seconds)
            lost = [result.id for result in unsent]
        logger.info("%s handed %d tasks over", self.id, len(left) - len(lost))
        for task_id in lost:
            if left[task_id].durable:
                writer.release(task_id)
            else:
                left[task_id].fail(TaskInterrupted())
