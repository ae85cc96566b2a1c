"""The backend that sends tasks to Celery workers."""

import asyncio
import logging
from collections.abc import Iterable
from concurrent.futures import Future
from functools import partial
from inspect import iscoroutinefunction
from typing import Any

from celery import Celery, current_app
from django.core import checks
from django.utils.module_loading import import_string
from kombu.messaging import Producer

from hybrid_tasks import announcements
from hybrid_tasks.backends.base import HybridBackend, in_thread
from hybrid_tasks.celery import registration
from hybrid_tasks.celery.checks import check_celery_settings
from hybrid_tasks.celery.message import carrying
from hybrid_tasks.celery.publisher import Message, publisher
from hybrid_tasks.exceptions import (
    BrokerUnavailable,
    OutboxUnavailable,
    TaskCancelled,
    TaskQueueFull,
)
from hybrid_tasks.execution import then_close
from hybrid_tasks.options import CeleryOptions
from hybrid_tasks.outbox import claims
from hybrid_tasks.outbox.inserts import NewRow
from hybrid_tasks.outbox.writer import writer
from hybrid_tasks.results import states
from hybrid_tasks.results.task_result import TaskResult
from hybrid_tasks.tasks import extended

logger = logging.getLogger("hybrid_tasks")

REACHABLE_SECONDS = 2.0  # that a stopping process waits for a sign of the broker
PUBLISH_SECONDS = 1.5  # that a caller waits at most before the outbox takes the task instead
FALLBACK_SECONDS = 2.0  # that a caller then waits for the outbox
ASYNC_GRACE = 5.0  # seconds after its timeout at which a coroutine that blocks is interrupted
HARD_LIMIT_GRACE = 30.0  # seconds after its timeout at which a task that does not end is killed

# Why a task is not with the broker in time.
UNSENT = (TimeoutError, BrokerUnavailable, TaskQueueFull)


class CeleryBackend(HybridBackend[CeleryOptions]):
    """Sends tasks to the workers of a Celery application, under their own names."""

    options_class = CeleryOptions
    supports_accept = True

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        super().__init__(alias, params)
        registration.register_all()

    @property
    def app(self) -> Celery:
        app: Celery = import_string(self.settings.app) if self.settings.app else current_app
        return app

    def dispatch(self, result: TaskResult) -> None:
        """Send the task; without the broker its row in the outbox does, and the relay sends it.

        Raises BrokerUnavailable when neither could take it, TaskQueueFull for a durable one that
        cannot wait here, whose row the caller leaves to the relay.
        """
        future = self._send(result)
        if future is None:
            return
        try:
            future.result(PUBLISH_SECONDS)
        except UNSENT as error:
            row = self._fallback(result, future, error)
            try:
                writer.put(row, FALLBACK_SECONDS)
            except OutboxUnavailable:
                raise BrokerUnavailable from error

    async def adispatch(self, result: TaskResult) -> None:
        """See dispatch(); the loop goes on meanwhile."""
        future = self._send(result)
        if future is None:
            return
        try:
            async with asyncio.timeout(PUBLISH_SECONDS):
                await asyncio.wrap_future(future)
        except UNSENT as error:
            row = self._fallback(result, future, error)
            try:
                await writer.aput(row, FALLBACK_SECONDS)
            except OutboxUnavailable:
                raise BrokerUnavailable from error

    def _send(self, result: TaskResult) -> Future[None] | None:
        """Give a task to the publisher; return what tells that it was sent.

        A durable one needs no telling, as it has its row.
        """
        announcements.enqueued.send(type(self), result)
        if extended(result.task).durable:
            self._put(result)
            return None
        future: Future[None] = Future()
        try:
            self._put(result, future)
        except TaskQueueFull as error:
            future.set_exception(error)
        return future

    @staticmethod
    def _fallback(result: TaskResult, future: Future[None], error: Exception) -> NewRow:
        future.cancel()  # what is kept in the outbox must not be sent as well
        logger.warning("Task id=%s goes to the outbox: %s", result.id, error)
        return NewRow(states.as_durable(result))

    def accept(self, result: TaskResult) -> None:
        """Take over a task under its id; it is sent when the broker can. Raises TaskQueueFull."""
        self._put(states.advance(result, backend=self.alias))

    def reachable(self) -> bool:
        """Return whether the broker answers."""
        try:
            with self.app.connection_for_write() as connection:
                connection.ensure_connection(max_retries=1, timeout=REACHABLE_SECONDS)
        except Exception as error:  # noqa: BLE001 - each transport has errors of its own
            logger.warning("The broker cannot be reached: %r", error)
            return False
        return True

    def take_over(self, handed: list[TaskResult], seconds: float) -> list[TaskResult]:
        """See the base class."""
        refused = []
        for result in handed:
            try:
                self.accept(result)
            except TaskQueueFull:
                refused.append(result)
        publisher.flush(seconds)
        return refused + [result for result in handed if publisher.peek(result.id)]

    def forward(self, relayed: list[TaskResult], seconds: float) -> bool:
        """See the base class."""
        for result in relayed:
            taken = states.advance(result, backend=self.alias)
            message = self._message(taken)
            message.marked = True
            if not publisher.put(taken.id, message):
                writer.release(taken.id)
        return publisher.flush(seconds) and not publisher.away

    def _put(self, result: TaskResult, future: Future[None] | None = None) -> None:
        """Give a message to the publisher. Raises TaskQueueFull."""
        if not publisher.put(result.id, self._message(result, future)):
            raise TaskQueueFull("The broker has been away for so long that no more can wait.")

    def _message(self, result: TaskResult, future: Future[None] | None = None) -> Message:
        return Message(
            self.app,
            partial(self._publish, result),
            result,
            self.store,
            future,
            lease=self.settings.lease if extended(result.task).durable else None,
        )

    def _publish(self, result: TaskResult, producer: Producer) -> None:
        task = extended(result.task)
        limits = {}
        if task.timeout is not None:
            # A coroutine is timed by its loop; only one that blocks it has to be interrupted.
            soft = task.timeout + (ASYNC_GRACE if iscoroutinefunction(task.func) else 0)
            limits = {
                "soft_time_limit": soft,
                "time_limit": task.timeout + HARD_LIMIT_GRACE,
            }
        registration.celery_task(task).apply_async(
            task_id=result.id,
            queue=task.queue_name,
            priority=broker_priority(task.priority, producer.connection),
            eta=task.run_after,
            producer=producer,
            retry=False,
            **carrying(result),
            **limits,
        )

    def local_result(self, result_id: str) -> TaskResult | None:
        message = publisher.peek(result_id)
        if message is not None and not message.stored:
            return message.result
        return super().local_result(result_id)

    def cancel(self, result_id: str) -> bool:
        """Cancel a task; return whether it had not ended.

        One that waits never starts, and the process of one that runs is ended. Its result fails
        with TaskCancelled. Raises TaskResultDoesNotExist, or what the broker raises.
        """
        result = self.get_result(result_id)
        if result.is_finished:
            return False
        ended = states.failed(result, TaskCancelled())
        if message := publisher.peek(result_id):
            message.stored = True  # what is stored next is newer
        if extended(result.task).durable:
            claims.discard([result_id])
        self.store.save_cancelled(ended)  # first: a worker that did not hear the revoke looks it up
        self.app.control.revoke(result_id, terminate=True)
        announcements.failed.send(type(self), ended)
        return True

    async def acancel(self, result_id: str) -> bool:
        """See cancel()."""
        return await in_thread(then_close, partial(self.cancel, result_id))

    def check_settings(self) -> Iterable[checks.CheckMessage]:
        yield from super().check_settings()
        if self.settings.app:
            try:
                import_string(self.settings.app)
            except ImportError as error:
                yield checks.Error(
                    f"TASKS[{self.alias!r}]: option 'app' is {self.settings.app!r}: {error}.",
                    hint="Give the path of the Celery application, such as 'project.celery.app'.",
                    id="hybrid_tasks.E004",
                )
                return
        yield from check_celery_settings(self.alias, self.app)


def broker_priority(priority: int, connection: Any) -> int:
    """Return a broker's priority, 0 to 9, for Django's, -100 to 100, of which more is sooner.

    Redis serves 0 first, AMQP 9.
    """
    tenth = round((priority + 100) * 9 / 200)
    return 9 - tenth if connection.transport.driver_type == "redis" else tenth
