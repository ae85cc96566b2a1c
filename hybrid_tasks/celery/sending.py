"""The way from a backend, or a worker, to the workers: by the broker, or else by the outbox."""

import math
from collections.abc import Collection
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from functools import partial

from celery import Celery

from hybrid_tasks.celery.connecting import driver_of
from hybrid_tasks.celery.message import publish
from hybrid_tasks.celery.outgoing import Message
from hybrid_tasks.celery.publisher import Publisher, publisher_of
from hybrid_tasks.exceptions import (
    BrokerUnavailable,
    MessageRefused,
    OutboxUnavailable,
    TaskQueueFull,
)
from hybrid_tasks.outbox.inserts import NewRow
from hybrid_tasks.outbox.writer import writer
from hybrid_tasks.results import states
from hybrid_tasks.results.store import ResultStore
from hybrid_tasks.results.task_result import TaskResult
from hybrid_tasks.runtime import current
from hybrid_tasks.tasks import extended

# Up to so many seconds ahead a worker holds the message of a next attempt, as long as the default
# backoff waits at most; beyond, the outbox has it. Redis delivers again what waits for longer than
# its visibility timeout.
NEAR_SECONDS = 300.0
# On RabbitMQ what a worker holds keeps it from what could run: always from quorum queues, and since
# 4.0 from all, as their prefetch count is fixed.
AMQP_NEAR_SECONDS = 5.0
ROWS_SECONDS = 2.0  # that the outbox may take for what the broker did not

# Why a task is not with the broker in time.
UNSENT = (TimeoutError, CancelledError, BrokerUnavailable, TaskQueueFull)

type Unsent = dict[str, Exception]


@dataclass(frozen=True, slots=True)
class Route:
    """Where the tasks of a backend go.

    Attributes:
        app: the Celery application whose workers run them.
        store: where their results are kept.
        sender: of Django's signals, the class of the backend.
        lease: seconds that the broker has until a row is sent again.
    """

    app: Celery
    store: ResultStore
    sender: type
    lease: float

    @property
    def publisher(self) -> Publisher:
        return publisher_of(self.app)

    def put(
        self, result: TaskResult, future: Future[None] | None = None, *, marked: bool = False
    ) -> None:
        """Give a task to the publisher. Raises TaskQueueFull.

        `marked` says that its row is marked as sent already.
        """
        message = Message(
            result,
            partial(publish, self.app, result),
            self.store,
            self.sender,
            future,
            lease=self.lease if extended(result.task).durable else None,
            marked=marked,
        )
        if not self.publisher.put(result.id, message):
            raise TaskQueueFull("The broker has been away for so long that no more can wait.")

    def send(
        self, results: Collection[TaskResult], seconds: float, *, marked: bool = False
    ) -> Unsent:
        """Send tasks within `seconds`; return by id why those that are not are not.

        A row of those is left to the relay, or keeps its lease if its message was refused.
        """
        runtime = current()
        deadline = runtime.clock.monotonic() + seconds
        futures: dict[str, Future[None]] = {}
        unsent: Unsent = {}
        for result in results:
            future = futures[result.id] = Future()
            try:
                self.put(result, future, marked=marked)
            except TaskQueueFull as error:
                future.set_exception(error)
        for result in results:
            future = futures[result.id]
            try:
                left = deadline - runtime.clock.monotonic()
                runtime.result_of(future, max(0.0, left))
            except UNSENT as error:
                future.cancel()
                unsent[result.id] = error
                if has_row(result):
                    writer().release(result.id)
            except MessageRefused as error:
                unsent[result.id] = error
        return unsent

    def hand_on(
        self, results: Collection[TaskResult], seconds: float, near: float = math.inf
    ) -> list[TaskResult]:
        """Send tasks that are due within `near` seconds, or less as the broker needs it.

        The others are left to the relay.

        Returns those that are in neither place: their messages are refused, or neither the broker
        nor the database has taken them.
        """
        most = AMQP_NEAR_SECONDS if driver_of(self.app) == "amqp" else NEAR_SECONDS
        later: list[TaskResult] = []
        soon: list[TaskResult] = []
        refused: list[TaskResult] = []
        for result in results:
            waits = states.delay_of(result) > min(near, most) and not has_row(result)
            (later if waits else soon).append(result)
        unsent = self.send(soon, max(seconds - ROWS_SECONDS, ROWS_SECONDS))
        for result in soon:
            if result.id in unsent and not has_row(result):
                is_refused = isinstance(unsent[result.id], MessageRefused)
                (refused if is_refused else later).append(result)
        return refused + self._left_to_relay(later)

    def _left_to_relay(self, results: list[TaskResult]) -> list[TaskResult]:
        """Give tasks rows; return those that have none."""
        rows = [NewRow(states.as_durable(it), run_after=it.task.run_after) for it in results]
        try:
            if rows:
                writer().put_rows(rows, ROWS_SECONDS)
        except OutboxUnavailable:
            return results
        return []


def has_row(result: TaskResult) -> bool:
    return extended(result.task).durable
