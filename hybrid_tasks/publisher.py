"""Sends tasks to the broker from one thread, so that no loop and no request ever waits for it."""

import logging
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from celery import Celery
from kombu.messaging import Producer

from hybrid_tasks.batches import BatchThread
from hybrid_tasks.exceptions import BrokerUnavailable
from hybrid_tasks.results import ResultStore, TaskResult

logger = logging.getLogger("hybrid_tasks")


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
    """

    app: Celery
    send: Callable[[Producer], Any]
    result: TaskResult
    store: ResultStore
    future: Future[None] | None = None
    stored: bool = False


class Publisher(BatchThread[str, Message]):
    """Keeps one connection, and the messages that nobody waits for until they are sent."""

    def __init__(self) -> None:
        super().__init__("hybrid-tasks-publisher", limit=100_000, linger=0)
        self._producers: dict[Celery, Producer] = {}

    def write(self, batch: dict[str, Message]) -> None:
        self._store(batch)
        for key, message in list(batch.items()):
            if message.future and not message.future.set_running_or_notify_cancel():
                del batch[key]
                continue
            try:
                message.send(self._producer(message.app))
            except Exception as error:
                self._forget_producer(message.app)
                self._tell_waiting(batch, error)
                raise
            if message.future:
                message.future.set_result(None)
            del batch[key]

    @staticmethod
    def _store(batch: dict[str, Message]) -> None:
        by_store: dict[ResultStore, list[Message]] = {}
        for message in batch.values():
            if not message.stored:
                by_store.setdefault(message.store, []).append(message)
        for store, messages in by_store.items():
            try:
                store.save([message.result for message in messages])
            except Exception as error:  # noqa: BLE001 - a cache that is away must not stop the work
                logger.warning("%d results cannot be stored: %r", len(messages), error)
            else:
                for message in messages:
                    message.stored = True

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

    @staticmethod
    def _tell_waiting(batch: dict[str, Message], error: Exception) -> None:
        """Tell all who wait at once: one after the other, each would wait for its own failure."""
        for key, message in list(batch.items()):
            if message.future is not None:
                if not message.future.done():
                    failure = BrokerUnavailable(f"The broker cannot be reached: {error!r}")
                    message.future.set_exception(failure)
                del batch[key]


publisher = Publisher()
