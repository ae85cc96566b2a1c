"""A delivered task that has a row."""

import logging
from collections.abc import Iterable

from celery.exceptions import Ignore

from hybrid_tasks.celery.attempts import latest_of
from hybrid_tasks.celery.delivery import Delivery
from hybrid_tasks.exceptions import TaskLost
from hybrid_tasks.outbox.writer import writer
from hybrid_tasks.results import states
from hybrid_tasks.results.task_result import TaskResult
from hybrid_tasks.runtime import Runtime, current

logger = logging.getLogger("hybrid_tasks")

CLAIM_SECONDS = 30.0  # that a worker waits for the database, as it has nothing else to do
SETTLE_SECONDS = 10.0  # that a worker waits for the row of a task that has ended


class DurableDelivery(Delivery):
    """A task that has a row: whoever has claimed it runs it."""

    _owns = False

    @property
    def lease(self) -> float:
        return self._backend.settings.lease

    def begin(self) -> None:
        """See Delivery. Raises OutboxUnavailable if the database is away: it is sent again."""
        row = writer().claim(self.id, self.lease, CLAIM_SECONDS)
        if row is None:
            logger.info("Task id=%s is not free: not run now", self.id)
            raise Ignore
        self._owns = True
        kept = states.advance(states.decode(row.message), backend=self._sent.backend)
        self.attempt = self._attempt_at(states.attempted(kept, row.attempts - 1))
        current().part(Deliveries).add(self)
        # The row is won. But a broker that hung may have had the task before the outbox took it.
        if not self._claim():
            latest = latest_of(self._store, self._sent)
            if latest.is_finished:
                self._settle_as(latest)
            self._let_go()  # else the end of its lease tells
            self._drop(latest)

    def give_back(self) -> None:
        """See Delivery."""
        if self._owns:
            self._let_go()
            writer().release(self.id)

    def _let_go(self) -> None:
        self._owns = False
        current().part(Deliveries).remove(self)

    def _settle(self) -> None:
        attempt = self.attempt
        if attempt.delay is not None and attempt.stop is not TaskLost:
            writer().postpone(attempt.result, attempt.delay)
        elif attempt.stop is not TaskLost and attempt.result.is_finished:
            self._settle_as(attempt.result)
        self._let_go()
        if not writer().flush(SETTLE_SECONDS):
            logger.warning("Task id=%s has ended, its row has not heard of it yet", self.id)

    @staticmethod
    def _settle_as(ended: TaskResult) -> None:
        writer().settle(ended)


class Deliveries:
    """The durable tasks that a process works on for the broker."""

    def __init__(self, runtime: Runtime) -> None:
        self._by_id: dict[str, DurableDelivery] = {}
        runtime.owners.append(self)

    def owned(self) -> Iterable[tuple[str, float]]:
        """See Owner."""
        return [(task_id, it.lease) for task_id, it in list(self._by_id.items())]

    def lost(self, ids: set[str]) -> None:
        """See Owner: what becomes of these attempts counts no more."""
        for task_id in ids:
            if delivery := self._by_id.get(task_id):
                delivery.attempt.stop = TaskLost

    def add(self, delivery: DurableDelivery) -> None:
        self._by_id[delivery.id] = delivery

    def remove(self, delivery: DurableDelivery) -> None:
        if self._by_id.get(delivery.id) is delivery:
            del self._by_id[delivery.id]
