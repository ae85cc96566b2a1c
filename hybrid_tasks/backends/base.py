"""What both backends share."""

import asyncio
import logging
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from django.core import checks
from django.db import transaction
from django.tasks import task_backends
from django.tasks.backends.base import BaseTaskBackend

from hybrid_tasks import announcements
from hybrid_tasks.django_types import DjangoTask
from hybrid_tasks.exceptions import BrokerUnavailable, TaskQueueFull
from hybrid_tasks.options import Options
from hybrid_tasks.outbox import inserts, table
from hybrid_tasks.outbox.inserts import NewRow
from hybrid_tasks.outbox.writer import writer
from hybrid_tasks.results import states
from hybrid_tasks.results.recorder import recorder
from hybrid_tasks.results.store import ResultStore
from hybrid_tasks.results.task_result import TaskResult
from hybrid_tasks.tasks import Task, extended

logger = logging.getLogger("hybrid_tasks")

# Up to so many seconds ahead, a task waits where it will run.
NEAR_SECONDS = 5.0


class HybridBackend[O: Options](BaseTaskBackend):
    """A backend whose tasks another can take over under their ids."""

    task_class = Task
    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True

    # Does a task with a distant `run_after` wait in the outbox?
    defers_to_outbox = True

    # May one instance serve all threads? (It holds settings, and no state.)
    shared_by_threads = True

    # Can other backends name this one as their overflow?
    supports_accept = False

    # What its OPTIONS may hold.
    options_class: ClassVar[type[Options]]

    settings: O

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        super().__init__(alias, params)
        self.settings = self.options_class.read(self.options)  # type: ignore[assignment]
        self.store = ResultStore(self.settings.result_cache, self.settings.result_ttl)

    @abstractmethod
    def dispatch(self, result: TaskResult) -> None:
        """Send a task on its way, from any thread."""

    @abstractmethod
    async def adispatch(self, result: TaskResult) -> None:
        """See dispatch()."""

    @abstractmethod
    def cancel(self, result_id: str) -> bool:
        """Cancel a task; return whether it had not ended. Raises TaskResultDoesNotExist."""

    @abstractmethod
    async def acancel(self, result_id: str) -> bool:
        """See cancel()."""

    def accept(self, result: TaskResult) -> None:
        """Take over a task from another backend, under its id, without waiting."""
        raise NotImplementedError("This backend takes over no tasks.")

    def reachable(self) -> bool:
        """Return whether a task that is accepted now would be sent at once."""
        raise NotImplementedError("This backend takes over no tasks.")

    def take_over(self, handed: list[TaskResult], seconds: float) -> list[TaskResult]:
        """Accept tasks and send them, or leave them to the relay, within `seconds`.

        Returns those that are in neither place.
        """
        raise NotImplementedError("This backend takes over no tasks.")

    def forward(self, relayed: list[TaskResult], seconds: float) -> bool:
        """Send tasks whose rows are marked as sent; return whether all were within `seconds`.

        What is not sent is released.
        """
        raise NotImplementedError("This backend takes over no tasks.")

    def enqueue(  # type: ignore[override]  # the stubs want the types of each function
        self, task: DjangoTask, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> TaskResult:
        """Dispatch the task, or once the caller's transaction is committed.

        The row of a durable task is committed when this returns, or with the transaction.
        Raises TypeError for arguments that JSON cannot hold, OutboxUnavailable when the database
        does not take a durable task, and what `dispatch` raises.
        """
        result = states.make(task, args, kwargs, self.alias)
        row = self.row_for(result)
        if row is None:
            if transaction.get_connection().in_atomic_block:
                transaction.on_commit(partial(self.dispatch, result))
            else:
                self.dispatch(result)
            return result
        database = table.alias()
        if transaction.get_connection(database).in_atomic_block:
            inserts.insert([row])
            transaction.on_commit(partial(self.hold_and_proceed, row), using=database)
        else:
            writer.put(row, self.settings.outbox_timeout)
            self.proceed(row)
        return row.result

    async def aenqueue(  # type: ignore[override]  # as above
        self, task: DjangoTask, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> TaskResult:
        """Dispatch the task; the row of a durable one is committed then. Raises as `enqueue`."""
        result = states.make(task, args, kwargs, self.alias)
        row = self.row_for(result)
        if row is None:
            await self.adispatch(result)
            return result
        await writer.aput(row, self.settings.outbox_timeout)
        self.proceed(row)
        return row.result

    def row_for(self, result: TaskResult) -> NewRow | None:
        """Return the row that must be committed before the task is accepted, if it needs one."""
        task = extended(result.task)
        if task.run_after is None and not task.durable:
            return None
        later = states.delay_of(result) > NEAR_SECONDS
        if later and (task.durable or self.defers_to_outbox):
            return NewRow(states.as_durable(result), run_after=task.run_after)
        if task.durable:
            return NewRow(result, holder=writer.holder, lease=self.settings.lease)
        return None

    def proceed(self, row: NewRow) -> None:
        """Send a task on its way whose row is committed; or leave it to the relay."""
        if row.holder:
            try:
                self.dispatch(row.result)
            except (TaskQueueFull, BrokerUnavailable) as error:
                logger.warning("Task id=%s is left to the relay: %s", row.result.id, error)
                writer.release(row.result.id)
        else:
            recorder.record(self.store, row.result)
            announcements.enqueued.send(type(self), row.result)

    def hold_and_proceed(self, row: NewRow) -> None:
        """See proceed(), for a row that the writer has not seen."""
        if row.holder:
            writer.hold(row.result.id, row.lease)
        self.proceed(row)

    def get_result(self, result_id: str) -> TaskResult:
        """See Django's. Raises TaskResultDoesNotExist."""
        if local := self.local_result(result_id):
            return states.advance(local)  # a copy, which the caller may refresh
        return self.store.load(result_id)

    async def aget_result(self, result_id: str) -> TaskResult:
        """See get_result()."""
        if local := self.local_result(result_id):
            return states.advance(local)  # as above
        return await in_thread(self.store.load, result_id)

    def local_result(self, result_id: str) -> TaskResult | None:
        """Return the state of a task if this process knows it better than the store."""
        return recorder.recorded(result_id)

    def check(self, **_kwargs: Any) -> list[checks.CheckMessage]:
        """Return what is wrong with this backend's settings."""
        return list(self.check_settings())

    def check_settings(self) -> Iterable[checks.CheckMessage]:
        yield from self.options_class.check(self.alias, self.options)


def hybrid_backend(alias: str) -> HybridBackend[Options]:
    """Return the backend of that alias. Raises TypeError if it is none of ours."""
    backend = task_backends[alias]
    if not isinstance(backend, HybridBackend):
        raise TypeError(f"TASKS[{alias!r}] is a {type(backend).__name__}, not one of hybrid_tasks.")
    return backend


def overflow_of(backend: BaseTaskBackend) -> str | None:
    """Return the alias of the backend that takes what is too much for this one, if it has one."""
    overflow: str | None = getattr(getattr(backend, "settings", None), "overflow", None)
    return overflow


async def in_thread[**P, T](function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a blocking call in a thread of the loop's pool.

    asyncio.to_thread() would copy the context, and in each copy Django connects its caches anew.
    """
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(None, partial(function, *args, **kwargs))
