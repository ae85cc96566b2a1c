"""What both backends share."""

import logging
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from django.conf import settings
from django.core import checks
from django.core.exceptions import SynchronousOnlyOperation
from django.db import transaction
from django.tasks.backends.base import BaseTaskBackend
from django.tasks.exceptions import InvalidTask, TaskResultDoesNotExist

from hybrid_tasks import announcements
from hybrid_tasks.announcements import runs_loop
from hybrid_tasks.backends.entry import check_entry, refuse_other_types
from hybrid_tasks.django_types import DjangoTask
from hybrid_tasks.execution.threads import then_close
from hybrid_tasks.options import Options
from hybrid_tasks.outbox import inserts, lookup, table
from hybrid_tasks.outbox.inserts import NewRow
from hybrid_tasks.outbox.writer import writer
from hybrid_tasks.results import states
from hybrid_tasks.results.recorder import recorder
from hybrid_tasks.results.store import ResultStore
from hybrid_tasks.results.task_result import Draft, TaskResult, may_follow
from hybrid_tasks.runtime import current
from hybrid_tasks.tasks import Task, extended

logger = logging.getLogger("hybrid_tasks")

# Up to so many seconds ahead, a task waits where it will run.
NEAR_SECONDS = 5.0
ID_LENGTH = 64  # of a row's key: no task has a longer id
VALIDATED = 1000  # tasks that a backend remembers to have validated


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
        refuse_other_types(alias, params)
        super().__init__(alias, params)
        self.keys = frozenset(params)
        self.settings = self.options_class.read(self.options)  # type: ignore[assignment]
        self.store = ResultStore(self.settings.result_cache, self.settings.result_ttl)
        self._validated: dict[int, DjangoTask] = {}

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

    def forward(self, relayed: list[TaskResult], seconds: float) -> set[str]:
        """Send tasks whose rows are marked as sent; return the ids of those that were not.

        What a broker that is away does not take within `seconds` is released.
        """
        raise NotImplementedError("This backend takes over no tasks.")

    # --- Enqueuing -------------------------------------------------------------------------------

    def validate_task(self, task: DjangoTask) -> None:
        """See Django's. Raises InvalidTask."""
        super().validate_task(task)
        if task.run_after is not None and not settings.USE_TZ:
            raise InvalidTask("run_after needs USE_TZ = True: a time without zone means nothing.")

    def validate_once(self, task: DjangoTask) -> None:
        """Raise InvalidTask for a task that this backend cannot run.

        Tasks do not change, and nor does a backend: one that was found right stays so.
        """
        if self._validated.get(id(task)) is not task:
            self.validate_task(task)
            if len(self._validated) >= VALIDATED:
                self._validated.clear()
            self._validated[id(task)] = task

    def made(self, task: DjangoTask, args: Sequence[Any], kwargs: Mapping[str, Any]) -> TaskResult:
        """Return the result of a task that may be enqueued.

        Raises InvalidTask, and TypeError or ValueTooLarge for arguments that cannot be kept.
        """
        self.validate_once(task)
        return states.make(task, args, kwargs, self.alias, self.settings.max_bytes)

    def enqueue(  # type: ignore[override]  # the stubs want the types of each function
        self, task: DjangoTask, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> TaskResult:
        """Dispatch the task, or once the caller's transaction is committed.

        The row of a durable task is committed when this returns, or with the transaction. Raises
        InvalidTask for a task that this backend cannot run, TypeError for arguments that JSON
        cannot hold, ValueTooLarge for more of them than `max_bytes`, OutboxUnavailable when the
        database does not take a durable task, SynchronousOnlyOperation for a durable task on a
        running event loop, and what `dispatch` raises.
        """
        result = self.made(task, args, kwargs)
        row = self.row_for(result)
        if row is None:
            if transaction.get_connection().in_atomic_block:
                transaction.on_commit(partial(self.dispatch_committed, result))
            else:
                self.dispatch(result)
            return for_caller(result)
        if runs_loop():
            raise SynchronousOnlyOperation(
                f"enqueue() of {task.module_path} waits for the database, and all of this event"
                " loop with it: use aenqueue()."
            )
        database = table.alias()
        if transaction.get_connection(database).in_atomic_block:
            inserts.insert([row])
            transaction.on_commit(partial(self.proceed_committed, row), using=database)
        else:
            writer().put_row(row, self.settings.outbox_timeout)
            self.proceed(row)
        return for_caller(row.result)

    async def aenqueue(  # type: ignore[override]  # as above
        self, task: DjangoTask, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> TaskResult:
        """Dispatch the task; the row of a durable one is committed then. Raises as `enqueue`."""
        result = self.made(task, args, kwargs)
        row = self.row_for(result)
        if row is None:
            await self.adispatch(result)
            return for_caller(result)
        await writer().aput(row, self.settings.outbox_timeout)
        self.proceed(row)
        return for_caller(row.result)

    def row_for(self, result: TaskResult) -> NewRow | None:
        """Return the row that must be committed before the task is accepted, if it needs one."""
        task = extended(result.task)
        if task.run_after is None and not task.durable:
            return None
        table.model()  # where there is none, the caller is told, and not the writer's thread
        later = states.delay_of(result) > NEAR_SECONDS
        if later and (task.durable or self.defers_to_outbox):
            return NewRow(states.as_durable(result), run_after=task.run_after)
        if task.durable:
            return NewRow(result, holder=current().holder, lease=self.settings.lease)
        return None

    def proceed(self, row: NewRow) -> None:
        """Send a task on its way whose row is committed; or leave it to the relay.

        It is accepted already: nothing that happens here may be the caller's trouble.
        """
        if not row.holder:
            self.accepted(row.result)
            return
        try:
            self.dispatch(row.result)
        except Exception as error:  # noqa: BLE001 - whatever it is, the row is there
            writer().release(row.result.id)
            logger.warning("Task id=%s is left to the relay: %r", row.result.id, error)
            self.accepted(row.result)
        except BaseException:
            writer().release(row.result.id)
            raise

    def proceed_committed(self, row: NewRow) -> None:
        """See proceed(), for a row that the writer has not seen."""
        if row.holder:
            writer().own(row.lease)
        self.proceed(row)

    def dispatch_committed(self, result: TaskResult) -> None:
        """Dispatch a task whose caller's transaction is committed.

        The caller has its result already, and other hooks wait: what cannot go on its way ends as
        failed, and nothing is raised.
        """
        try:
            self.dispatch(result)
        except Exception as error:
            path = result.task.module_path
            logger.exception("Task id=%s path=%s was not dispatched on commit", result.id, path)
            ended = states.failed(result, error)
            recorder().record(self.store, ended)
            announcements.failed.send(type(self), ended)

    def accepted(self, result: TaskResult) -> None:
        """Let a task be found from now on, and tell those who listen."""
        recorder().record(self.store, result)
        announcements.enqueued.send(type(self), result)

    # --- Looking up ------------------------------------------------------------------------------

    def get_result(self, result_id: str) -> TaskResult:
        """See Django's. Raises TaskResultDoesNotExist, and what the cache raises.

        An accepted task is found from the moment at which `enqueue` returns: in this process, then
        in the cache, and for as long as it has a row by that.
        """
        result = self.known_here(result_id)
        return self._kept(result_id, self.local_result(result_id)) if result is None else result

    async def aget_result(self, result_id: str) -> TaskResult:
        """See get_result()."""
        result = self.known_here(result_id)
        if result is not None:
            return result
        local = self.local_result(result_id)
        return await current().in_thread(
            then_close_if_threaded, partial(self._kept, result_id, local)
        )

    def known_here(self, result_id: str) -> TaskResult | None:
        """Return the result of a task if nobody else can know it better.

        Raises TaskResultDoesNotExist for what cannot be an id.
        """
        if not is_id(result_id):
            raise TaskResultDoesNotExist(repr(result_id))
        local = self.local_result(result_id)
        if local is None or not (local.is_finished or self.runs_here(result_id)):
            return None
        return for_caller(local)

    def _kept(self, result_id: str, local: TaskResult | None) -> TaskResult:
        """Return the later of what is known here and what is kept."""
        try:
            kept = self.store.load(result_id)
        except Exception:  # nothing is known there, or the cache is away
            found = local or lookup.from_row_if_there(result_id)
            if found is None:
                raise
            return for_caller(found)
        return for_caller(local) if local and may_follow(local, kept) else kept

    def local_result(self, result_id: str) -> TaskResult | None:
        """Return the state of a task as far as this process knows it without asking others."""
        return recorder().recorded(result_id)

    def runs_here(self, _result_id: str) -> bool:
        """Return whether a task that nobody else can take over runs or waits in this process."""
        return False

    def check(self, **_kwargs: Any) -> list[checks.CheckMessage]:
        """Return what is wrong with this backend's settings."""
        return list(self.check_settings())

    def check_settings(self) -> Iterable[checks.CheckMessage]:
        yield from self.options_class.check(self.alias, self.options)
        yield from check_entry(self.alias, self.keys)


def for_caller(result: TaskResult) -> TaskResult:
    """Return a copy of a result: its caller may refresh it while threads here write the other."""
    return Draft.of(result).sealed()


def is_id(result_id: Any) -> bool:
    """Return whether a task could have that id."""
    return (
        isinstance(result_id, str)
        and 0 < len(result_id) <= ID_LENGTH
        and result_id.isascii()
        and result_id.isprintable()
        and " " not in result_id  # which no key of memcached may hold
    )


def then_close_if_threaded[T](function: Callable[[], T]) -> T:
    """Call a function; in a thread of the pool, leave no database connection behind."""
    return then_close(function) if current().threads else function()
