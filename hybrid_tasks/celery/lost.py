"""What the main process of a worker does when the pool process that runs a task has died.

Also when it has to be killed because the task is far over its time. Celery by itself would forget
an ordinary task, or send it again after three minutes, whatever its backoff says.
"""

import logging
from enum import Enum, auto
from typing import Any

from celery.exceptions import TimeLimitExceeded, WorkerLostError
from celery.worker import state
from celery.worker.request import ExceptionWithTraceback, Request, safe_repr, safe_str

from hybrid_tasks.celery.attempts import WorkerAttempt, latest_of
from hybrid_tasks.celery.message import carried_state
from hybrid_tasks.celery.sending import Route
from hybrid_tasks.exceptions import OutboxUnavailable, TaskInterrupted
from hybrid_tasks.execution.attempt import timed_out
from hybrid_tasks.finding import hybrid_backend
from hybrid_tasks.outbox.writer import writer
from hybrid_tasks.results import states
from hybrid_tasks.results.task_result import TaskResult
from hybrid_tasks.runtime import holders_of
from hybrid_tasks.tasks import extended

logger = logging.getLogger("hybrid_tasks")

# Seconds that the main process, which has other tasks to see to, waits for broker and database.
SEND_SECONDS = 4.0
ROW_SECONDS = 2.0

LOST = (WorkerLostError, TimeLimitExceeded, SystemExit, KeyboardInterrupt)


class Fate(Enum):
    """What becomes of a task whose process has died."""

    FAILS = auto()
    GOES_ON = auto()  # its next attempt is on its way
    OVER = auto()  # it had ended, or others see to it
    UNKNOWN = auto()  # nobody takes it now


class HybridRequest(Request):  # type: ignore[misc]  # Celery has no types
    """A message with a task of ours, as the main process of a worker sees it."""

    _settled = False

    def on_failure(
        self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False
    ) -> Any:
        """See Celery's: called for what a task raised (`return_ok`), and for a lost process."""
        error = exc_info.exception
        if isinstance(error, ExceptionWithTraceback):
            error = error.exc
        if return_ok or self._already_revoked or not isinstance(error, LOST):
            return super().on_failure(exc_info, send_failed_event, return_ok)
        self._settled = True
        fate = Fate.UNKNOWN
        if self._already_cancelled or state.should_terminate not in (None, False):
            # The worker stops: what is not acknowledged comes again to another.
            state.task_ready(self)
            return None
        try:
            fate = LostTask(self, error).settle()
        except Exception:
            logger.exception("Task id=%s was lost with its process", self.id)
        if fate is Fate.FAILS:
            return super().on_failure(exc_info, send_failed_event, return_ok)
        state.task_ready(self)
        if fate is Fate.UNKNOWN:
            self.reject(requeue=True)
            return None
        self.acknowledge()
        if fate is Fate.GOES_ON:
            self.send_event(
                "task-retried",
                exception=safe_repr(error),
                traceback=safe_str(exc_info.traceback),
            )
        return None

    def on_timeout(self, soft: bool, timeout: float) -> None:
        """See Celery's: called after on_failure() if the time is over for good."""
        if soft or not self._settled:
            super().on_timeout(soft, timeout)


class LostTask:
    """A task whose process has died of `error`, or will at once."""

    def __init__(self, request: HybridRequest, error: BaseException) -> None:
        self._request = request
        self._headers = request.request_dict
        self._sent = carried_state(self._headers, request.task.name, request.args, request.kwargs)
        self._backend = hybrid_backend(self._sent.backend)
        task = extended(self._sent.task)
        self._durable = task.durable
        self._error: Exception = (
            timed_out(task)
            if isinstance(error, TimeLimitExceeded)
            else TaskInterrupted(f"Its process died: {error}")
        )

    def settle(self) -> Fate:
        """Let the task go on, or end, as its policy says."""
        return self._settle_durable() if self._durable else self._settle_ordinary()

    def _settle_ordinary(self) -> Fate:
        latest = latest_of(self._backend.store, self._sent)
        if latest.is_finished or self._runs_elsewhere(latest):
            return Fate.OVER
        if latest.status == "READY" and latest.attempts > self._sent.attempts:
            # It has told of its next attempt, and may not have sent it.
            return self._send(latest)
        attempt = self._attempt_at(latest)
        attempt.lost(self._error)
        if attempt.superseded:
            return Fate.OVER
        if attempt.delay is None:
            return Fate.FAILS
        return self._send(states.delayed(attempt.result, attempt.delay))

    def _runs_elsewhere(self, latest: TaskResult) -> bool:
        return latest.status == "RUNNING" and latest.worker_ids[-1] != self._request.hostname

    def _send(self, result: TaskResult) -> Fate:
        route = Route(
            self._request.app,
            self._backend.store,
            type(self._backend),
            self._backend.settings.lease,
        )
        unsent = route.hand_on([result], SEND_SECONDS)
        return Fate.UNKNOWN if unsent else Fate.GOES_ON

    def _settle_durable(self) -> Fate:
        """Claim the row for this process, from the one that died, and settle it."""
        lease = self._backend.settings.lease
        process = holders_of(self._request.worker_pid)
        try:
            row = writer().claim_from(process, self._sent.id, lease, ROW_SECONDS)
        except OutboxUnavailable as error:
            logger.warning("Task id=%s is left to the end of its lease: %s", self._sent.id, error)
            return Fate.OVER
        if row is None:  # it is settled, or was never claimed
            return Fate.OVER
        kept = states.attempted(states.decode(row.message), row.attempts - 1)
        latest = latest_of(self._backend.store, kept)
        if latest.is_finished:
            self._end_row(latest)
            return Fate.OVER
        attempt = self._attempt_at(kept)
        attempt.lost(self._error)
        if attempt.delay is not None:
            writer().postpone(attempt.result, attempt.delay)
        else:
            self._end_row(attempt.result)
        writer().flush(ROW_SECONDS)
        return Fate.FAILS if attempt.delay is None else Fate.GOES_ON

    @staticmethod
    def _end_row(ended: TaskResult) -> None:
        writer().settle(ended)

    def _attempt_at(self, latest: TaskResult) -> WorkerAttempt:
        """Return the attempt that was made, which may not have told of itself."""
        attempt = WorkerAttempt(
            latest,
            store=self._backend.store,
            tell=lambda _: None,
            worker_id=self._request.hostname,
            sender=type(self._backend),
        )
        if latest.status == "READY":
            attempt.begin()
        return attempt
