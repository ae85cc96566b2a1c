"""The decorator `task`, which keeps the types of the function."""

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Concatenate, Literal, Protocol, TypedDict, Unpack, overload

from django.tasks import base

from hybrid_tasks.tasks.backoff import Backoff, exponential_backoff
from hybrid_tasks.tasks.context import TaskContext
from hybrid_tasks.tasks.definition import Task

if TYPE_CHECKING:
    from hybrid_tasks.tasks.definition import ContextTask


class TaskOptions(TypedDict, total=False):
    """What `task` takes beside the function and `takes_context`."""

    priority: int
    queue_name: str
    backend: str
    max_attempts: int
    backoff: Backoff
    timeout: float | None
    durable: bool
    metadata: dict[str, Any] | None


class Decorator(Protocol):
    """Makes tasks of functions."""

    @overload
    def __call__[**P, R](self, function: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
    @overload
    def __call__[**P, R](self, function: Callable[P, R], /) -> Task[P, R]: ...


class ContextDecorator(Protocol):
    """Makes tasks of functions that are given a context first, which callers leave out."""

    @overload
    def __call__[**P, R](
        self, function: Callable[Concatenate[TaskContext, P], Coroutine[Any, Any, R]], /
    ) -> "ContextTask[P, R]": ...
    @overload
    def __call__[**P, R](
        self, function: Callable[Concatenate[TaskContext, P], R], /
    ) -> "ContextTask[P, R]": ...


@overload
def task[**P, R](
    function: Callable[Concatenate[TaskContext, P], Coroutine[Any, Any, R]],
    /,
    *,
    takes_context: Literal[True],
    **options: Unpack[TaskOptions],
) -> "ContextTask[P, R]": ...
@overload
def task[**P, R](
    function: Callable[Concatenate[TaskContext, P], R],
    /,
    *,
    takes_context: Literal[True],
    **options: Unpack[TaskOptions],
) -> "ContextTask[P, R]": ...
@overload
def task[**P, R](
    function: Callable[P, Coroutine[Any, Any, R]],
    /,
    *,
    takes_context: Literal[False] = False,
    **options: Unpack[TaskOptions],
) -> Task[P, R]: ...
@overload
def task[**P, R](
    function: Callable[P, R],
    /,
    *,
    takes_context: Literal[False] = False,
    **options: Unpack[TaskOptions],
) -> Task[P, R]: ...
@overload
def task(*, takes_context: Literal[True], **options: Unpack[TaskOptions]) -> ContextDecorator: ...
@overload
def task(*, takes_context: Literal[False] = False, **options: Unpack[TaskOptions]) -> Decorator: ...
def task(
    function: Callable[..., Any] | None = None,
    /,
    *,
    priority: int = base.DEFAULT_TASK_PRIORITY,
    queue_name: str = base.DEFAULT_TASK_QUEUE_NAME,
    backend: str = base.DEFAULT_TASK_BACKEND_ALIAS,
    takes_context: bool = False,
    max_attempts: int = 1,
    backoff: Backoff = exponential_backoff,
    timeout: float | None = None,
    durable: bool = False,
    metadata: dict[str, Any] | None = None,
) -> Any:
    """Make a task of a module-level function, sync or async.

    Arguments, beside those of `django.tasks.task`:
        max_attempts: how often the task is tried. 1 means at most once: a started attempt is never
            repeated, whatever dies. More means at least once.
        backoff: called with the exception and the task's result after an attempt that failed;
            returns the seconds until the next one, or None to give up.
        timeout: seconds that one attempt may take; it then fails with TimeoutError.
        durable: whether the task survives the death of the process that accepted it.
        metadata: a JSON dict kept with the result, which the task can change while it runs.

    Raises InvalidTask for what the backend cannot do.
    """

    def wrapper(wrapped: Callable[..., Any]) -> Task:
        return Task(
            func=wrapped,
            priority=priority,
            queue_name=queue_name,
            backend=backend,
            run_after=None,
            takes_context=takes_context,
            max_attempts=max_attempts,
            backoff=backoff,
            timeout=timeout,
            durable=durable,
            metadata=metadata or {},
        )

    return wrapper(function) if function else wrapper
