"""Finds the backends of this package by their aliases, for rooms that know them by what they do."""

from typing import Any, Protocol

from django.tasks import task_backends

from hybrid_tasks.options import Options
from hybrid_tasks.results.store import ResultStore
from hybrid_tasks.results.task_result import TaskResult


class Hybrid(Protocol):
    """What the delivery of a message and the relay need of a backend."""

    alias: str
    store: ResultStore
    supports_accept: bool

    @property
    def settings(self) -> Options:
        """Its OPTIONS."""

    def forward(self, relayed: list[TaskResult], seconds: float) -> set[str]:
        """Send tasks whose rows are marked as sent; return the ids of those that were not."""


def hybrid_backend(alias: str) -> Hybrid:
    """Return the backend of that alias. Raises TypeError if it is none of ours."""
    backend: Any = task_backends[alias]
    if not isinstance(getattr(backend, "settings", None), Options):
        raise TypeError(f"TASKS[{alias!r}] is a {type(backend).__name__}, not one of hybrid_tasks.")
    found: Hybrid = backend
    return found


def hybrid_backends() -> list[Hybrid]:
    """Return all backends of this package that TASKS names."""
    aliases = list(task_backends)
    ours = [getattr(task_backends[alias], "settings", None) for alias in aliases]
    return [
        hybrid_backend(alias)
        for alias, settings in zip(aliases, ours, strict=True)
        if isinstance(settings, Options)
    ]


def overflow_of(backend: Any) -> str | None:
    """Return the alias of the backend that takes what is too much for this one, if it has one."""
    overflow: str | None = getattr(getattr(backend, "settings", None), "overflow", None)
    return overflow
