"""`Task`: Django's own, with what a task that must not be lost needs."""

from copy import deepcopy
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from pickle import PicklingError
from types import FunctionType
from typing import TYPE_CHECKING, Any, Generic, Self

from django.core.signals import setting_changed
from django.dispatch import receiver
from django.tasks import base, task_backends
from django.utils.module_loading import import_string

from hybrid_tasks.django_types import DjangoTask, P, R
from hybrid_tasks.results.task_result import TaskResult
from hybrid_tasks.tasks.backoff import Backoff, exponential_backoff
from hybrid_tasks.tasks.context import TaskContext
from hybrid_tasks.tasks.known import known_task, path_of, register
from hybrid_tasks.tasks.policy import as_json, validate_policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(DjangoTask, Generic[P, R]):  # noqa: UP046 - which have defaults
    """A function that can be enqueued; see `task` for the arguments.

    To type checkers it is a Task[P, R]: P are the function's parameters, but for the context, and R
    is what it returns when it is awaited, or called if it is sync.
    """

    max_attempts: int = 1
    backoff: Backoff = field(default=exponential_backoff, hash=False)
    timeout: float | None = None
    durable: bool = False
    metadata: dict[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        validate_policy(self)
        object.__setattr__(self, "metadata", as_json(self.metadata))
        DjangoTask.__post_init__(self)  # slots: super() would look at the class before them
        register(self)

    def get_backend(self) -> Any:
        """Return the backend of this task's alias."""
        backend = _backends.get(self.backend)
        if backend is None:
            backend = task_backends[self.backend]
            if getattr(backend, "shared_by_threads", False):
                _backends[self.backend] = backend
        return backend

    def using(
        self,
        *,
        priority: int | None = None,
        queue_name: str | None = None,
        run_after: datetime | None = None,
        backend: str | None = None,
        max_attempts: int | None = None,
        backoff: Backoff | None = None,
        timeout: float | None = None,
        durable: bool | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> Self:
        """Return this task with what is given changed; None leaves as it is.

        Raises InvalidTask for what the backend cannot do.
        """
        given: dict[str, Any] = {
            "priority": priority,
            "queue_name": queue_name,
            "run_after": run_after,
            "backend": backend,
            "max_attempts": max_attempts,
            "backoff": backoff,
            "timeout": timeout,
            "durable": durable,
            "metadata": metadata,
        }
        return replace(self, **{name: value for name, value in given.items() if value is not None})

    def __copy__(self) -> Self:
        return restored(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return restored(self, metadata=deepcopy(self.metadata, memo))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the path of the task instead of its function, as Django 6.1 does.

        Raises PicklingError for a backoff that has no path.
        """
        backoff = self.backoff
        if isinstance(backoff, FunctionType) and path_of(backoff) is None:
            raise PicklingError(
                f"The backoff of {self.module_path} is {backoff.__qualname__}: only a function that"
                " is defined at the top of a module can be pickled. Define it there, with a name."
            )
        given = {one.name: getattr(self, one.name) for one in fields(self)}
        return (self._reconstruct, (given | {"func": self.module_path},))

    @staticmethod
    def _reconstruct(kwargs: dict[str, Any]) -> "Task":  # Django's name, and what it raises
        return restored(defined(kwargs.pop("func")), **kwargs)

    if TYPE_CHECKING:  # these are Django's own

        def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> TaskResult[R]: ...
        async def aenqueue(self, *args: P.args, **kwargs: P.kwargs) -> TaskResult[R]: ...
        def get_result(self, result_id: str) -> TaskResult[R]: ...
        async def aget_result(self, result_id: str) -> TaskResult[R]: ...
        def call(self, *args: P.args, **kwargs: P.kwargs) -> R: ...
        async def acall(self, *args: P.args, **kwargs: P.kwargs) -> R: ...


if TYPE_CHECKING:

    class ContextTask(Task[P, R]):
        """What `task` makes of a function with a context: only who calls that hands one in."""

        def call(  # type: ignore[override]
            self, context: TaskContext, /, *args: P.args, **kwargs: P.kwargs
        ) -> R: ...
        async def acall(  # type: ignore[override]
            self, context: TaskContext, /, *args: P.args, **kwargs: P.kwargs
        ) -> R: ...


def restored[T: Task](task: T, **changes: Any) -> T:
    """Return a copy with `changes`, without asking any backend whether it can run it.

    What was accepted once stays readable, whatever the settings say today.
    """
    copy = object.__new__(type(task))
    for one in fields(task):
        object.__setattr__(copy, one.name, changes.get(one.name, getattr(task, one.name)))
    return copy


def extended(django_task: DjangoTask) -> Task:
    """Return the task itself if it is one of ours, or one of ours with the defaults."""
    if isinstance(django_task, Task):
        return django_task
    return Task(
        func=django_task.func,
        priority=django_task.priority,
        queue_name=django_task.queue_name,
        backend=django_task.backend,
        run_after=django_task.run_after,
        takes_context=django_task.takes_context,
    )


def defined(path: str) -> Task:
    """Return the task of a module path, whose module is imported if need be.

    Raises ValueError if there is none.
    """
    known = known_task(path)
    if known is not None:
        return known
    try:
        found = import_string(path)
    except ImportError as error:
        raise ValueError(f"Expected {path!r} to point to a Task instance.") from error
    if known := known_task(path):  # defined by the import, perhaps under another name
        return known
    if not isinstance(found, base.Task):
        raise ValueError(f"Expected {path!r} to point to a Task instance.")
    return extended(found)


# Django makes a backend for each thread and request; looking that up takes longer than enqueuing.
_backends: dict[str, Any] = {}


@receiver(setting_changed)
def forget_backends(*, setting: str, **_kwargs: Any) -> None:
    """Look the backends up anew when a test changes TASKS."""
    if setting == "TASKS":
        _backends.clear()
