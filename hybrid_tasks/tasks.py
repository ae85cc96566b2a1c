"""The `task` decorator and `Task`: Django's own, with what a task that must not be lost needs.

Names and shapes follow the proposals django/new-features#141 (metadata) and #142 (retries), so that
tasks can move to Django's own options when they exist.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from inspect import iscoroutinefunction
from typing import Any, Self, overload

from django.core.signals import setting_changed
from django.dispatch import receiver
from django.tasks import base, task_backends
from django.tasks.exceptions import InvalidTask
from django.utils.json import normalize_json

from hybrid_tasks.django_types import DjangoTask, DjangoTaskResult

type Function = Callable[..., Any]
type Backoff = Callable[[BaseException, Any], float | None]

BACKOFF_BASE = 1.0  # seconds
BACKOFF_CAP = 300.0  # seconds
MOST_ATTEMPTS = 100_000  # the order of a task's states has room for some more
LONGEST_SECONDS = 366 * 86_400.0  # for which anything waits: beyond, clocks of timers overflow


def exponential_backoff(_exception: BaseException, task_result: DjangoTaskResult) -> float:
    """Return a random wait of up to 1 s after the first attempt, doubling to at most 5 minutes.

    Waiting a random part of the whole ("full jitter") spreads those who failed together:
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/.
    """
    doublings = min(task_result.attempts - 1, 30)
    return random.uniform(0, min(BACKOFF_CAP, BACKOFF_BASE * 2**doublings))  # noqa: S311


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(DjangoTask):
    """A function that can be enqueued; see `task` for the arguments."""

    max_attempts: int = 1
    backoff: Backoff = field(default=exponential_backoff, hash=False)
    timeout: float | None = None
    durable: bool = False
    metadata: dict[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        self._validate_policy()
        object.__setattr__(self, "metadata", as_json(self.metadata))
        DjangoTask.__post_init__(self)  # slots: super() would look at the class before them
        register(self)

    def _validate_policy(self) -> None:
        if not isinstance(self.priority, int):  # Django compares it, whatever it is
            raise InvalidTask(
                f"priority must be a whole number between {base.TASK_MIN_PRIORITY} and"
                f" {base.TASK_MAX_PRIORITY}."
            )
        if type(self.max_attempts) is not int or not 1 <= self.max_attempts <= MOST_ATTEMPTS:
            raise InvalidTask(
                f"max_attempts is {shown(self.max_attempts)}: it must be a whole number from 1"
                f" to {MOST_ATTEMPTS}."
            )
        if self.timeout is not None and not is_duration(self.timeout):
            raise InvalidTask(f"timeout is {shown(self.timeout)}: it must be more than 0 seconds.")
        if not callable(self.backoff):
            raise InvalidTask(f"backoff is {shown(self.backoff)}: it must be a function.")
        if iscoroutinefunction(self.backoff):
            raise InvalidTask(f"backoff is {shown(self.backoff)}: it must be a sync function.")
        if not isinstance(self.metadata, dict):
            raise InvalidTask(f"metadata is {shown(self.metadata)}: it must be a dict.")

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


def as_json(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of what every result of a task begins with. Raises TypeError."""
    try:
        copy: Any = normalize_json(metadata)
    except (ValueError, RecursionError) as error:
        raise TypeError(f"The metadata cannot be JSON: {error}") from error
    return copy  # type: ignore[no-any-return]


def shown(value: Any) -> str:
    """Return the text of a value that is refused, also of a number that is too long to be told."""
    try:
        return repr(value)
    except Exception:  # noqa: BLE001 - its own code runs
        return f"a {type(value).__name__}"


def is_duration(value: Any) -> bool:
    """Return whether `value` is a finite number of seconds above 0."""
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and 0 < value <= LONGEST_SECONDS
    )


def restored(task: Task, **changes: Any) -> Task:
    """Return a copy with `changes`, without asking any backend whether it can run it.

    What was accepted once stays readable, whatever the settings say today.
    """
    copy: Task = object.__new__(type(task))
    for one in fields(task):
        object.__setattr__(copy, one.name, changes.get(one.name, getattr(task, one.name)))
    return copy


@overload
def task(function: Function, /) -> Task: ...
@overload
def task(
    *,
    priority: int = ...,
    queue_name: str = ...,
    backend: str = ...,
    takes_context: bool = ...,
    max_attempts: int = ...,
    backoff: Backoff = ...,
    timeout: float | None = ...,
    durable: bool = ...,
    metadata: dict[str, Any] | None = ...,
) -> Callable[[Function], Task]: ...
def task(
    function: Function | None = None,
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
) -> Task | Callable[[Function], Task]:
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

    def wrapper(wrapped: Function) -> Task:
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


# Django makes a backend for each thread and request; looking that up takes longer than enqueuing.
_backends: dict[str, Any] = {}


@receiver(setting_changed)
def forget_backends(*, setting: str, **_kwargs: Any) -> None:
    """Look the backends up anew when a test changes TASKS."""
    if setting == "TASKS":
        _backends.clear()


# Every task by its module path, as first defined, every backoff of one, and who wants to know.
_tasks: dict[str, Task] = {}
_backoffs: dict[str, Backoff] = {}
_observers: list[Callable[[Task], None]] = []


def register(new: Task) -> None:
    """Make a task known under its module path, unless one is already (a copy from `using`)."""
    if (path := path_of(new.backoff)) is not None:
        _backoffs.setdefault(path, new.backoff)
    if new.module_path not in _tasks:
        _tasks[new.module_path] = new
        for observer in _observers:
            observer(new)


def known_task(path: str) -> Task | None:
    """Return the task that was defined under a module path."""
    return _tasks.get(path)


def known_backoff(path: str) -> Backoff | None:
    """Return the backoff of that path which some task has."""
    return _backoffs.get(path)


def path_of(backoff: Backoff) -> str | None:
    """Return the path that names a backoff in other processes, or None where nothing can."""
    module = getattr(backoff, "__module__", None)
    name = getattr(backoff, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str) or "<" in name:
        return None
    return f"{module}.{name}"


def observe(observer: Callable[[Task], None]) -> None:
    """Call `observer` with every task that is defined or will be."""
    _observers.append(observer)
    for known in list(_tasks.values()):
        observer(known)
