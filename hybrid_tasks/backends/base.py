"""What both backends share."""

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from django.core import checks
from django.db import transaction
from django.tasks import task_backends
from django.tasks.backends.base import BaseTaskBackend
from django.tasks.exceptions import InvalidTask

from hybrid_tasks import results
from hybrid_tasks.django_types import DjangoTask
from hybrid_tasks.options import Options
from hybrid_tasks.recorder import recorder
from hybrid_tasks.results import ResultStore, TaskResult
from hybrid_tasks.tasks import Task


class HybridBackend[O: Options](BaseTaskBackend):
    """A backend whose tasks another can take over under their ids."""

    task_class = Task
    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True

    # Does the backend keep tasks through the death of the process?
    supports_durable = False

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

    def validate_task(self, task: DjangoTask) -> None:
        """See Django's. Raises InvalidTask for a durable task that would not be kept."""
        super().validate_task(task)
        if getattr(task, "durable", False) and not self.supports_durable:
            raise InvalidTask("Backend does not support durable tasks.")

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
        """Accept tasks and send them within `seconds`; return those that were not sent."""
        raise NotImplementedError("This backend takes over no tasks.")

    def enqueue(  # type: ignore[override]  # the stubs want the types of each function
        self, task: DjangoTask, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> TaskResult:
        """Dispatch the task, or once the caller's transaction is committed.

        Raises TypeError for arguments that JSON cannot hold, and what `dispatch` raises.
        """
        result = results.make(task, args, kwargs, self.alias)
        if transaction.get_connection().in_atomic_block:
            transaction.on_commit(partial(self.dispatch, result))
        else:
            self.dispatch(result)
        return result

    async def aenqueue(  # type: ignore[override]  # as above
        self, task: DjangoTask, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> TaskResult:
        """Dispatch the task. Raises as `enqueue` does."""
        result = results.make(task, args, kwargs, self.alias)
        await self.adispatch(result)
        return result

    def get_result(self, result_id: str) -> TaskResult:
        """See Django's. Raises TaskResultDoesNotExist."""
        if local := self.local_result(result_id):
            return results.advance(local)  # a copy, which the caller may refresh
        return self.store.load(result_id)

    async def aget_result(self, result_id: str) -> TaskResult:
        """See get_result()."""
        if local := self.local_result(result_id):
            return results.advance(local)  # as above
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


async def in_thread[**P, T](function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a blocking call in a thread of the loop's pool.

    asyncio.to_thread() would copy the context, and in each copy Django connects its caches anew.
    """
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(None, partial(function, *args, **kwargs))
