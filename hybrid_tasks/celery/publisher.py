"""Sends tasks to brokers from threads of its own, so that no loop and no request waits for one."""

import logging
import math
import threading
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from celery import Celery
from kombu.messaging import Producer

from hybrid_tasks import announcements
from hybrid_tasks.celery.connecting import connected, drop, says_away
from hybrid_tasks.celery.outgoing import Message
from hybrid_tasks.engine import Engine
from hybrid_tasks.exceptions import BrokerUnavailable, MessageRefused, OutboxUnavailable
from hybrid_tasks.outbox.inserts import NewRow
from hybrid_tasks.outbox.writer import OutboxWriter
from hybrid_tasks.results import states
from hybrid_tasks.results.recorder import Recorder
from hybrid_tasks.results.task_result import TaskResult
from hybrid_tasks.runtime import Runtime, current

logger = logging.getLogger("hybrid_tasks")

AWAY_SECONDS = 1.0  # for which a broker that failed is not tried again
OUTBOX_SECONDS = 2.0  # that sending waits for the database


class Publisher(Engine[str, Message]):
    """Keeps one connection to the broker of a Celery application, and what is on its way there.

    One for each application: where one broker hangs, nothing waits for it that goes to another.
    """

    name = "hybrid-tasks-publisher"

    def __init__(self, runtime: Runtime, app: Celery) -> None:
        super().__init__(runtime)
        self.app = app
        self._producer: Producer | None = None
        self._away_until = -math.inf
        self._error: BaseException | None = None
        runtime.owners.append(self)

    # --- What it owns ----------------------------------------------------------------------------

    def owned(self) -> Iterable[tuple[str, float]]:
        """See Owner: the rows of tasks that are not the broker's yet."""
        return [
            (message.result.id, message.lease)
            for message in self.items()
            if message.lease is not None and not message.marked
        ]

    def lost(self, ids: set[str]) -> None:
        """See Owner: what another process has taken over is not sent from here."""
        for task_id in ids:
            self.withdraw(task_id)

    def withdraw(self, task_id: str) -> None:
        """Do not send a task, if it is not on its way already."""
        with self._lock:
            message = self._pending.pop(task_id, None)
        if message is not None and message.future is not None:
            message.future.cancel()

    # --- In the thread ---------------------------------------------------------------------------

    def merged(self, old: Message, new: Message) -> Message:
        """See Engine: whoever waits for the older one is told of the newer one."""
        if new.future is None:
            new.future = old.future
        return new

    def write(self, batch: dict[str, Message]) -> None:
        """See Engine. What the broker does not take goes to the outbox, if that takes it."""
        if self.runtime.clock.monotonic() < self._away_until:
            self._keep(batch)  # each try at a broker that hangs would take a second
            return
        was_used = self._producer is not None
        try:
            self._send(batch)
        except BaseException as error:
            connection: Any = self._producer.connection if self._producer else None
            is_away = connection is None or says_away(error, connection)
            # It may be the fault of what the channel was used for before.
            again = not is_away and was_used and isinstance(error, connection.channel_errors)
            self._disconnect()  # after an error of its channel it would take no more
            if again:
                self.write(batch)
            elif not is_away:
                raise
            else:
                logger.warning("The broker of %r does not take tasks: %r", self.app.main, error)
                self._away_until = self.runtime.clock.monotonic() + AWAY_SECONDS
                self._error = error
                self._keep(batch)

    def _send(self, batch: dict[str, Message]) -> None:
        producer = self._connected()
        self._mark(batch)
        for key, message in list(batch.items()):
            if message.wanted():
                message.send(producer)
                message.tell(None)
            del batch[key]

    def _mark(self, batch: dict[str, Message]) -> None:
        """Mark rows as sent; take those out of the batch that are not ours any more."""
        new = [key for key, it in batch.items() if it.lease is not None and not it.marked]
        leases = [(key, batch[key].lease or 0.0) for key in new]
        for key in new:
            batch[key].marked = True  # from now on it would not be found among what is claimed
        ours: set[str] = set()
        try:
            if leases:
                ours = self.runtime.part(OutboxWriter).mark_sent(leases, OUTBOX_SECONDS)
        except OutboxUnavailable as error:
            logger.warning("%d tasks are left to the relay: %s", len(new), error)
            self._release(new)
        except BaseException:
            for key in new:
                batch[key].marked = False
            raise
        for key in set(new) - ours:
            batch.pop(key).tell(BrokerUnavailable("Its row is not marked as sent: not sent."))

    def _keep(self, batch: dict[str, Message]) -> None:
        """Leave what cannot be sent to the relay; who waits is told, and keeps it himself."""
        told = self._error
        failure = BrokerUnavailable(
            str(told)
            if isinstance(told, BrokerUnavailable)
            else f"The broker does not take tasks: {told!r}"
        )
        self._release([key for key, message in batch.items() if message.lease is not None])
        for message in batch.values():
            message.tell(failure)
        left = {
            key: message
            for key, message in batch.items()
            if message.lease is None and message.future is None
        }
        if self._in_outbox([message.result for message in left.values()]):
            left.clear()
        for key in batch.keys() - left.keys():
            del batch[key]

    def _release(self, ids: Iterable[str]) -> None:
        for task_id in ids:
            self.runtime.part(OutboxWriter).release(task_id)

    def _in_outbox(self, results: list[TaskResult]) -> bool:
        """Give tasks rows; return whether they have them."""
        rows = [NewRow(states.as_durable(it), run_after=it.task.run_after) for it in results]
        try:
            if rows:
                self.runtime.part(OutboxWriter).put_rows(rows, OUTBOX_SECONDS)
        except OutboxUnavailable as error:
            logger.warning("%d tasks wait for the broker here: %s", len(rows), error)
            return False
        return True

    def is_away(self, error: Exception) -> bool:
        """See Engine: what says so is dealt with in write()."""
        return False

    def fail(self, key: str, item: Message, error: BaseException) -> None:
        """See Engine: who waits is told; a row is tried again when its lease, which doubles, ends.

        What is accepted, and has neither, ends as failed.
        """
        refusal = MessageRefused(f"The message of task {key} cannot be sent: {error!r}")
        refusal.__cause__ = error
        if item.future is not None:
            item.tell(refusal)
        elif item.lease is None:
            ended = states.failed(item.result, refusal)
            self.runtime.part(Recorder).record(item.store, ended)
            announcements.failed.send(item.sender, ended)

    def _connected(self) -> Producer:
        """Return the producer, whose one channel spares a new client for each message.

        Raises BrokerUnavailable.
        """
        if self._producer is None:
            self._producer = self.app.amqp.Producer(connected(self.app), auto_declare=False)
        return self._producer

    def _disconnect(self) -> None:
        if self._producer is not None:
            drop(self._producer.connection)
            self._producer = None

    def close_connections(self) -> None:
        """See Engine; a broker that listens is told."""
        if self._producer is not None:
            with suppress(Exception):  # each transport has errors of its own
                self._producer.connection.release()
            self._disconnect()
        super().close_connections()


class Publishers:
    """The publishers of a process by Celery application, each made by its first use."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._by_app: dict[Celery, Publisher] = {}
        self._lock = threading.Lock()

    def of(self, app: Celery) -> Publisher:
        with self._lock:
            if app not in self._by_app:
                self._by_app[app] = Publisher(self._runtime, app)
            return self._by_app[app]


def publisher_of(app: Celery) -> Publisher:
    """Return this process's publisher for the broker of `app`."""
    return current().part(Publishers).of(app)
