"""Attempts at tasks by themselves: no backend, no loop but the test's, no row."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hybrid_tasks.execution.attempt import Attempt
from hybrid_tasks.results import states
from hybrid_tasks.results.task_result import TaskResult
from hybrid_tasks.runtime import Runtime
from tests.hybrid_tasks.runtimes import own_runtime

type Make = Callable[..., Attempt]


class Sender:
    """Stands for the class of a backend."""


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    with own_runtime() as own:
        yield own


@pytest.fixture
def saved() -> list[TaskResult]:
    """The states that attempts made readable by others, in order."""
    return []


@pytest.fixture
def make(saved: list[TaskResult]) -> Make:
    """A function that returns an attempt at a task with arguments."""

    def make(task: Any, *args: Any, limit: int = 1000, **kwargs: Any) -> Attempt:
        result = states.make(task, args, kwargs, "default")
        return Attempt(result, worker_id="a worker", sender=Sender, save=saved.append, limit=limit)

    return make
