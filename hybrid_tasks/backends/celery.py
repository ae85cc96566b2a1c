"""The backend that sends tasks to Celery workers."""

import asyncio
import logging
from collections.abc import Iterable
from concurrent.futures import Future
from functools import partial

from django.core import checks
from django.db import DatabaseError
from django.utils.module_loading import import_string

from hybrid_tasks.extras import not_installed

try:
    from celery import Celery, current_app
except ImportError as error:
    raise not_installed("CeleryBackend", "celery", error) from error

from hybrid_tasks import announcements
from hybrid_tasks.backends import base
from hybrid_tasks.backends.base import HybridBackend, then_close_if_threaded
from hybrid_tasks.celery import registration
from hybrid_tasks.celery.checks import check_celery_settings
from hybrid_tasks.celery.connecting import connected, drop, revoke
from hybrid_tasks.celery.sending import UNSENT, Route
from hybrid_tasks.django_types import DjangoTask
from hybrid_tasks.exceptions import (
    BrokerUnavailable,
    OutboxUnavailable,
    TaskCancelled,
    TaskQueueFull,
)
from hybrid_tasks.options import CeleryOptions
from hybrid_tasks.outbox import claims
from hybrid_tasks.outbox.inserts import NewRow
from hybrid_tasks.outbox.writer import writer
from hybrid_tasks.results import states
from hybrid_tasks.results.recorder import recorder
from hybrid_tasks.results.task_result import TaskResult
from hybrid_tasks.runtime import current
from hybrid_tasks.tasks import extended

logger = logging.getLogger("hybrid_tasks")

PUBLISH_SECONDS = 1.5  # that a caller waits at most before the outbox takes the task instead
FALLBACK_SECONDS = 2.0  # that a caller then waits for the outbox


class CeleryBackend(HybridBackend[CeleryOptions]):
    """Sends tasks to the workers of a Celery application, under their own names."""

    options_class = CeleryOptions
    supports_accept = True

    def __init__(self, alias: str, params: dict[str, object]) -> None:
        super().__init__(alias, params)
        registration.register_all()

    @property
    def app(self) -> Celery:
        """The Celery application; not a proxy, which means another one in each thread."""
        path = self.settings.app
        app: Celery = import_string(path) if path else current_app._get_current_object()
        return app

    @property
    def route(self) -> Route:
        """The way to its workers."""
        return Route(self.app, self.store, type(self), self.settings.lease)

    def validate_task(self, task: DjangoTask) -> None:
        """See Django's. Raises InvalidTask for a task that no worker would know."""
        super().validate_task(task)
        registration.validate_registered(task)

    # --- Sending ---------------------------------------------------------------------------------

    def dispatch(self, result: TaskResult) -> None:
        """Send the task; without the broker its row in the outbox does, and the relay sends it.

        Raises BrokerUnavailable when neither could take it, MessageRefused for a message that no
        broker would take, and TaskQueueFull for a durable one that cannot wait here, whose row the
        caller leaves to the relay.
        """
        future = self._send(result)
        if future is not None:
            try:
                current().result_of(future, PUBLISH_SECONDS)
            except UNSENT as error:
                row = self._fallback(result, future, error)
                try:
                    writer().put_row(row, FALLBACK_SECONDS)
                except OutboxUnavailable:
                    raise BrokerUnavailable from error
                result = row.result
        self.accepted(result)

    async def adispatch(self, result: TaskResult) -> None:
        """See dispatch(); the loop goes on meanwhile."""
        future = self._send(result)
        if future is not None:
            try:
                async with asyncio.timeout(PUBLISH_SECONDS):
                    await asyncio.wrap_future(future)
            except UNSENT as error:
                row = self._fallback(result, future, error)
                try:
                    await writer().aput(row, FALLBACK_SECONDS)
                except OutboxUnavailable:
                    raise BrokerUnavailable from error
                result = row.result
        self.accepted(result)

    def _send(self, result: TaskResult) -> Future[None] | None:
        """Give a task to the publisher; return what tells that it was sent.

        A durable one needs no telling, as it has its row.
        """
        if extended(result.task).durable:
            self.route.put(result)
            return None
        future: Future[None] = Future()
        try:
            self.route.put(result, future)
        except TaskQueueFull as error:
            future.set_exception(error)
        return future

    @staticmethod
    def _fallback(result: TaskResult, future: Future[None], error: Exception) -> NewRow:
        future.cancel()  # what is kept in the outbox must not be sent as well
        logger.warning("Task id=%s goes to the outbox: %r", result.id, error)
        return NewRow(states.as_durable(result), run_after=result.task.run_after)

    # --- Taking over -----------------------------------------------------------------------------

    def accept(self, result: TaskResult) -> None:
        """Take over a task under its id; it is sent when the broker can. Raises TaskQueueFull."""
        taken = self._taken(result)
        self.route.put(taken)
        recorder().record(self.store, taken)

    def reachable(self) -> bool:
        """Return whether the broker answers."""
        try:
            drop(connected(self.app))
        except BrokerUnavailable as error:
            logger.warning("%s", error)
            return False
        return True

    def take_over(self, handed: list[TaskResult], seconds: float) -> list[TaskResult]:
        """See the base class. What has to wait for long waits in the outbox."""
        taken = [self._taken(result) for result in handed]
        return self.route.hand_on(taken, seconds, base.NEAR_SECONDS)

    def forward(self, relayed: list[TaskResult], seconds: float) -> set[str]:
        """See the base class. The row of a message that is refused keeps its lease."""
        taken = [self._taken(result) for result in relayed]
        unsent = self.route.send(taken, seconds, marked=True)
        for before, now in zip(relayed, taken, strict=True):
            if before.backend != now.backend:
                recorder().record(self.store, now)  # who looks it up must know where to cancel it
        return set(unsent)

    def _taken(self, result: TaskResult) -> TaskResult:
        return states.advance(result, backend=self.alias)

    # --- Looking up and cancelling ---------------------------------------------------------------

    def local_result(self, result_id: str) -> TaskResult | None:
        """See the base class: also while a task waits here for its broker."""
        found = super().local_result(result_id)
        message = self.route.publisher.peek(result_id) if found is None else None
        return message.result if message else found

    def cancel(self, result_id: str) -> bool:
        """Cancel a task; return whether it had not ended.

        One that waits never starts, and the process of one that runs is ended. Its result fails
        with TaskCancelled. Raises TaskResultDoesNotExist, DatabaseError if the database is away for
        a durable task, and what the cache raises if that is away for another.
        """
        result = self.get_result(result_id)
        if result.is_finished:
            return False
        ended = states.failed(result, TaskCancelled())
        durable = extended(result.task).durable
        if not (self._end_durable(ended) if durable else self._end_ordinary(ended)):
            return False
        self.route.publisher.withdraw(result_id)
        self._revoke(result_id)
        announcements.failed.send(type(self), ended)
        return True

    def _end_durable(self, ended: TaskResult) -> bool:
        """End a task whose row nobody has settled: it is the row that decides."""
        if not claims.discard_alive(ended.id):
            return False
        try:
            return self.store.end(ended)
        except Exception as error:  # noqa: BLE001 - each cache has errors of its own
            logger.warning("The end of task id=%s cannot be stored now: %r", ended.id, error)
            recorder().record(self.store, ended)
            return True

    def _end_ordinary(self, ended: TaskResult) -> bool:
        """End a task that has no row, or one only while the broker is away or its backoff runs."""
        if not self.store.end(ended):
            return False
        try:
            claims.discard_alive(ended.id)
        except DatabaseError as error:
            # When it is delivered, it is seen that the task has ended.
            logger.warning("Task id=%s is cancelled, but may have a row: %r", ended.id, error)
        return True

    def _revoke(self, result_id: str) -> None:
        """End the process that runs a task. What it still does counts no more."""
        try:
            revoke(self.app, result_id)
        except Exception as error:  # noqa: BLE001 - each transport has errors of its own
            logger.warning("Task id=%s is cancelled; workers do not hear: %r", result_id, error)

    async def acancel(self, result_id: str) -> bool:
        """See cancel()."""
        cancelled: bool = await current().in_thread(
            then_close_if_threaded, partial(self.cancel, result_id)
        )
        return cancelled

    # --- Checks ----------------------------------------------------------------------------------

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
        yield from check_celery_settings(self.alias, self.app, self.queues)
