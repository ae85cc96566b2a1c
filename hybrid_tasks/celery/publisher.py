"""Sends tasks to the broker from one thread, so that no loop and no request ever waits for it."""

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from celery import Celery
from kombu.messaging import Producer

from hybrid_tasks.batches import BatchThread
from hybrid_tasks.exceptions import BrokerUnavailable, OutboxUnavailable
from hybrid_tasks.grouping import grouped
from hybrid_tasks.outbox.inserts import NewRow
from hybrid_tasks.outbox.writer import writer
from hybrid_tasks.results import states
from hybrid_tasks.results.store import ResultStore
from hybrid_tasks.results.task_result import TaskResult

logger = logging.getLogger("hybrid_tasks")

AWAY_SECONDS = 1.0  # for which a broker that failed is not tried again
OUTBOX_SECONDS = 2.0  # that sending waits for the database


@dataclass(slots=True)
class Message:
    """A task on its way to the broker.

    Attributes:
        app: the Celery application whose broker it goes to.
        send: sends it with the producer that it is given.
        result: the state in which it is sent.
        store: where that is kept before the message is sent: later it could replace what a quick
            worker has stored.
        future: of a caller who waits and hears of a failure; without one it is sent when it can be.
        stored: whether the store need not be told any more.
        lease: of the task's row in the outbox, in seconds; None if it has no row.
        marked: whether the row says already that the task is sent.
    """

    app: Celery
    send: Callable[[Producer], Any]
    result: TaskResult
    store: ResultStore
    future: Future[None] | None = None
    stored: bool = False
    lease: float | None = None
    marked: bool = False


class Publisher(BatchThread[str, Message]):
    """Keeps one connection, and the messages that nobody waits for until they are sent."""

    def __init__(self) -> None:
        super().__init__("hybrid-tasks-publisher", limit=100_000, linger=0)
        self._producers: dict[Celery, Producer] = {}
        self._away_until = 0.0
        self._failure: Exception = BrokerUnavailable()

    @property
    def away(self) -> bool:
        """Whether the broker failed so recently that it is not tried again yet."""
        return time.monotonic() < self._away_until

    def write(self, batch: dict[str, Message]) -> None:
        """See BatchThread. What the broker does not take goes to the outbox."""
        if self.away:  # each try at a broker that hangs would take a second
            self._keep(batch, self._failure)
            return
        self._mark(batch)
        self._store(batch)
        for key, message in list(batch.items()):
            if message.future and not message.future.set_running_or_notify_cancel():
                del batch[key]
                continue
            try:
                message.send(self._producer(message.app))
            except Exception as error:  # noqa: BLE001 - each transport has errors of its own
                logger.warning("The broker does not take tasks: %r", error)
                self._forget_producer(message.app)
                self._away_until = time.monotonic() + AWAY_SECONDS
                self._failure = error
                self._keep(batch, error)
                return
            if message.future:
                message.future.set_result(None)
            del batch[key]

    @staticmethod
    def _mark(batch: dict[str, Message]) -> None:
        """Mark rows as sent; take those out of the batch that are not ours any more."""
        by_lease = grouped(
            (message.lease, key)
            for key, message in batch.items()
            if message.lease is not None and not message.marked
        )
        for lease, ids in by_lease.items():
            try:
                marked = writer.mark_sent(ids, lease, OUTBOX_SECONDS)
            except OutboxUnavailable as error:
                logger.warning("%d tasks are left to the relay: %s", len(ids), error)
                marked = set()
                for key in ids:
                    writer.release(key)
            for key in set(ids) - marked:
                del batch[key]

    @staticmethod
    def _keep(batch: dict[str, Message], error: Exception) -> None:
        """Leave what cannot be sent to the relay; who waits is told, and keeps it himself."""
        rowless = []
        for key, message in list(batch.items()):
            if message.lease is not None:
                writer.release(key)
            elif message.future is None:
                rowless.append(message.result)
                continue
            elif not message.future.done():
                failure = BrokerUnavailable(f"The broker cannot be reached: {error!r}")
                message.future.set_exception(failure)
            del batch[key]
        if not rowless:
            return
        try:
            new = [NewRow(states.as_durable(result)) for result in rowless]
            writer.put_all(new, OUTBOX_SECONDS)
        except OutboxUnavailable as unavailable:
            logger.warning("%d tasks wait for the broker here: %s", len(rowless), unavailable)
        else:
            for result in rowless:
                del batch[result.id]

    @staticmethod
    def _store(batch: dict[str, Message]) -> None:
        unstored = (message for message in batch.values() if not message.stored)
        for store, messages in grouped((message.store, message) for message in unstored).items():
            stored = store.try_save([message.result for message in messages])
            for message in messages:
                message.stored = stored

    def _producer(self, app: Celery) -> Producer:
        if app not in self._producers:
            # One channel for all: kombu would build a new Redis client for each publish.
            connection = app.connection_for_write()
            self._producers[app] = app.amqp.Producer(connection, auto_declare=False)
        return self._producers[app]

    def _forget_producer(self, app: Celery) -> None:
        producer = self._producers.pop(app, None)
        if producer is not None:
            with suppress(Exception):  # the connection is broken already
                producer.connection.collect(socket_timeout=0)


publisher = Publisher()
