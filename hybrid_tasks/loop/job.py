"""A task on its way through a runner: it owns its row for as long as it exists."""

import asyncio
import logging
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from hybrid_tasks.exceptions import TaskCancelled, TaskInterrupted, TaskLost
from hybrid_tasks.execution.attempt import Attempt
from hybrid_tasks.execution.calling import acall, forget_error, is_async
from hybrid_tasks.loop.runner import Job, Reason
from hybrid_tasks.results import states
from hybrid_tasks.results.task_result import TaskResult
from hybrid_tasks.tasks import extended

if TYPE_CHECKING:
    from hybrid_tasks.loop.worker import LoopWorker

logger = logging.getLogger("hybrid_tasks")

STOPS: dict[Reason, type[TaskCancelled | TaskInterrupted | TaskLost]] = {
    Reason.CANCELLED: TaskCancelled,
    Reason.SHUTDOWN: TaskInterrupted,
    Reason.LOST: TaskLost,
}


class TaskJob(Job):
    """A task of a worker.

    Attributes:
        result: the task's state when no attempt is made.
        attempt: the one that is being made.
    """

    __slots__ = ("_thread", "attempt", "result", "worker")

    def __init__(self, result: TaskResult, worker: "LoopWorker") -> None:
        super().__init__(result.id, result.task.priority)
        self.result = result
        self.worker = worker
        self.attempt: Attempt | None = None
        self._thread: Future[Any] | None = None

    @property
    def durable(self) -> bool:
        return extended(self.result.task).durable

    @property
    def latest(self) -> TaskResult:
        return self.attempt.result if self.attempt else self.result

    async def run(self) -> float | None:
        """See Job: make one attempt."""
        if is_async(self.result.task.func):
            return await self._make_attempt()
        # Not begun before a thread is free: what is interrupted while it waits has lost nothing.
        async with self.worker.threads:
            if self._thread is not None:  # of the attempt before, which has outlived its timeout
                outlived = asyncio.wrap_future(self._thread)
                outlived.add_done_callback(forget_error)
                await asyncio.wait([outlived])
            return await self._make_attempt()

    async def _claim_attempt(self) -> bool:
        """Count an attempt; return False if this process must not make it."""
        try:
            won = await self.worker.writer.astart(
                self.id, self.worker.options.lease, self.result.attempts + 1
            )
        except Exception:
            # Not the database being away, which is waited for.
            logger.exception("Task id=%s cannot be started: left to the relay", self.id)
            self.worker.writer.release(self.id)
            return False
        if not won:
            logger.warning("Task id=%s goes on elsewhere: not started here", self.id)
        return won

    async def _make_attempt(self) -> float | None:
        if self.durable and not await self._claim_attempt():
            return None
        self.attempt = attempt = self.worker.attempt(self.result)
        await acall(attempt)
        self.result = attempt.result
        self.attempt = None
        self._thread = attempt.thread if attempt.thread and not attempt.thread.done() else None
        if attempt.stop is TaskLost:
            return None
        if attempt.stop is TaskInterrupted and self.reason is None and self.durable:
            # Whoever cancelled it was not asked to: the loop ends, or will not run this again.
            self._give_back_when_still(attempt.delay)
            return None
        if self.durable:
            self._settle(attempt)
        return attempt.delay

    def _settle(self, attempt: Attempt) -> None:
        if attempt.delay is not None:
            self.worker.writer.note_failure(attempt.result)
        else:
            self.worker.writer.settle(attempt.result)

    def _give_back_when_still(self, delay: float | None) -> None:
        """Give the task back, or, if its thread still runs, when that has ended."""
        if self._thread is None:
            self.give_back(delay)
            return
        self.worker.outliving[self.id] = self
        self._thread.add_done_callback(lambda _: self._has_become_still(delay))

    def _has_become_still(self, delay: float | None) -> None:
        self.give_back(delay)
        self.worker.outliving.pop(self.id, None)

    def give_back(self, delay: float | None) -> None:
        """Leave a durable task that has not ended to the relay."""
        if delay is None:
            self.worker.writer.settle(self.result)
        else:
            self.worker.writer.postpone(self.result, delay)

    def stopped(self, reason: Reason) -> None:
        """See Job."""
        if self.attempt is not None:
            self.attempt.stop = STOPS[reason]
        elif reason is Reason.CANCELLED:
            self.fail(TaskCancelled())

    def dropped(self, error: BaseException | None) -> None:
        """See Job: the row is given back, or the task ends in the open."""
        attempt, self.attempt = self.attempt, None
        if attempt is not None:
            self.result = attempt.result
        if self.result.is_finished:  # a GeneratorExit passes by who would have settled it
            if self.durable:
                self.worker.writer.settle(self.result)
        elif self.durable:
            self.worker.writer.release(self.id)
        else:
            self.fail(error or TaskInterrupted())

    def fail(self, error: BaseException) -> None:
        """End the task without another attempt."""
        attempt = self.worker.attempt(self.result)
        attempt.fail(error)
        self.result = attempt.result
        if self.durable:
            self.worker.writer.settle(attempt.result)

    def leave_behind(self) -> TaskResult | None:
        """Part with an attempt that resists; return the task's state if it may run elsewhere.

        A durable one keeps its row until this process has ended, for two of it must never run at
        once; then its lease ends, and the relay takes it.
        """
        attempt = self.attempt
        if self.durable or attempt is None:
            return None
        attempt.ended = True
        if attempt.result.attempts >= attempt.task.max_attempts:
            attempt.fail(TaskInterrupted())
            return None
        return states.to_retry(attempt.result, TaskInterrupted())
