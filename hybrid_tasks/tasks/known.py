"""The tasks and backoffs that this process has defined, by the paths that name them elsewhere."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from hybrid_tasks.tasks.backoff import Backoff

if TYPE_CHECKING:
    from hybrid_tasks.tasks.definition import Task

# Every task by its module path, as first defined, every backoff of one, and who wants to know.
_tasks: "dict[str, Task]" = {}
_backoffs: dict[str, Backoff] = {}
_observers: "list[Callable[[Task], object]]" = []


def register(new: "Task") -> None:
    """Make a task known under its module path, unless one is already (a copy from `using`)."""
    if (path := path_of(new.backoff)) is not None:
        _backoffs.setdefault(path, new.backoff)
    if new.module_path not in _tasks:
        _tasks[new.module_path] = new
        for observer in _observers:
            observer(new)


def known_task(path: str) -> "Task | None":
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


def observe(observer: "Callable[[Task], object]") -> None:
    """Call `observer` with every task that is defined or will be."""
    _observers.append(observer)
    for known in list(_tasks.values()):
        observer(known)
