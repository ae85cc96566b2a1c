"""A delivered task that the broker alone has."""

import logging
import time

from celery.exceptions import Reject
from django.tasks import TaskResultStatus

from hybrid_tasks.celery.attempts import latest_of, load
from hybrid_tasks.celery.delivery import Delivery
from hybrid_tasks.celery.liveness import still_runs
from hybrid_tasks.celery.sending import Route
from hybrid_tasks.exceptions import TaskInterrupted
from hybrid_tasks.results import states
from hybrid_tasks.results.task_result import TaskResult
from hybrid_tasks.tasks import extended

logger = logging.getLogger("hybrid_tasks")

UNKNOWN_SECONDS = 1.0  # that a worker waits before it has a message delivered once more
RETRY_SECONDS = 10.0  # that a worker takes to send the next attempt on its way

DIED = "The process that made the last attempt has died."


class OrdinaryDelivery(Delivery):
    """A task that the broker alone has: what is stored of it guards it from running twice."""

    def begin(self) -> None:
        """See Delivery. Raises TaskInterrupted if the last attempt that it may have has died."""
        latest = self._latest()
        self._check(latest)
        self.attempt = self._attempt_at(self._next(latest))
        if not self._claim():
            self._drop(latest_of(self._store, self._sent))

    def _latest(self) -> TaskResult:
        """Return the latest state of the task. Raises Reject if this message may have been run.

        That is, if the broker sends it again, nobody knows why, and there is no attempt to spare.
        """
        try:
            kept = load(self._store, self._sent)
        except Exception as error:  # each cache has errors of its own
            logger.warning("Task id=%s: its result cannot be read: %r", self.id, error)
            spare = extended(self._sent.task).max_attempts - self._sent.attempts - 1
            if self._came_again and not spare:
                time.sleep(UNKNOWN_SECONDS)
                raise Reject("It may have been run.", requeue=True) from error
            return self._sent
        return kept

    def _check(self, latest: TaskResult) -> None:
        """Raise Ignore for a message that has come twice, or too late."""
        if latest.is_finished:
            self._drop(latest)
        if self._came_again:
            if latest.status == TaskResultStatus.RUNNING and self._still_runs(latest):
                self._drop(latest)
        elif latest.status == TaskResultStatus.RUNNING or latest.attempts > self._sent.attempts:
            self._drop(latest)

    def _still_runs(self, latest: TaskResult) -> bool:
        app, worker_id = self._celery_task.app, latest.worker_ids[-1]
        try:
            return still_runs(app, worker_id, self.id, asked_by=self._worker_id)
        except Exception as error:  # each transport has errors of its own
            logger.warning("Task id=%s: %s cannot be asked: %r", self.id, worker_id, error)
            raise Reject(f"{worker_id} cannot be asked", requeue=True) from error

    def _next(self, latest: TaskResult) -> TaskResult:
        """Return the state from which the next attempt begins."""
        died = latest.status == TaskResultStatus.RUNNING
        if latest.attempts >= extended(latest.task).max_attempts:
            error = TaskInterrupted(DIED)
            self._attempt_at(latest).fail(error)
            raise error
        ready = states.to_retry(latest, TaskInterrupted(DIED)) if died else latest
        return states.come_due(ready) if ready.attempts else ready

    def give_back(self) -> None:
        """See Delivery: a message that is not acknowledged comes again."""

    def _settle(self) -> None:
        attempt = self.attempt
        if attempt.delay is None or attempt.exits:  # then the broker delivers this message again
            return
        lease = self._backend.settings.lease
        route = Route(self._celery_task.app, self._store, type(self._backend), lease)
        again = states.delayed(attempt.result, attempt.delay)
        if route.hand_on([again], RETRY_SECONDS):
            raise Reject("Nobody takes the next attempt.", requeue=True)
