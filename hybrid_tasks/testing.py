"""For the tests of projects that use this package: tasks without a broker and without a server."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from inspect import iscoroutinefunction
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async
from django.conf import settings
from django.db import connections
from django.tasks.exceptions import TaskResultDoesNotExist
from django.test import override_settings
from django.utils.json import normalize_json

from hybrid_tasks import announcements
from hybrid_tasks.backends.base import HybridBackend
from hybrid_tasks.django_types import DjangoTask
from hybrid_tasks.exceptions import TaskCancelled
from hybrid_tasks.execution.attempt import Attempt
from hybrid_tasks.execution.calling import acall, call
from hybrid_tasks.options import Options
from hybrid_tasks.results.task_result import TaskResult


class CapturedTasks:
    """What was enqueued while tasks were captured.

    Attributes:
        enqueued: the results as they were returned to the callers, in order.
    """

    def __init__(self) -> None:
        self.enqueued: list[TaskResult] = []
        self._latest: dict[str, TaskResult] = {}
        self._waiting: deque[str] = deque()

    @property
    def results(self) -> list[TaskResult]:
        """The present results, in the order in which the tasks were enqueued."""
        return [self._latest[result.id] for result in self.enqueued]

    def add(self, result: TaskResult) -> None:
        self.enqueued.append(result)
        self.save(result)
        self._waiting.append(result.id)

    def save(self, result: TaskResult) -> None:
        self._latest[result.id] = result

    def get(self, result_id: str) -> TaskResult:
        """Return a result. Raises TaskResultDoesNotExist."""
        try:
            return self._latest[result_id]
        except KeyError:
            raise TaskResultDoesNotExist(result_id) from None

    def run(self) -> list[TaskResult]:
        """Run all tasks to their end, with their retries but without the waits; return the results.

        What they enqueue is run too. ORM calls use the connection of this thread, so a test's
        transaction is seen.
        """
        for attempt in self._attempts():
            if iscoroutinefunction(attempt.task.func):
                async_to_sync(acall)(attempt, nullcontext)
            else:
                call(attempt)
        return self.results

    async def arun(self) -> list[TaskResult]:
        """See run()."""
        for attempt in self._attempts():
            if iscoroutinefunction(attempt.task.func):
                await acall(attempt, nullcontext)
            else:
                await sync_to_async(call)(attempt)
        return self.results

    def _attempts(self) -> Iterator[Attempt]:
        while self._waiting:
            result = self._latest[self._waiting.popleft()]
            if result.is_finished:
                continue
            attempt = self.attempt(result)
            yield attempt
            if attempt.delay is not None:
                self._waiting.append(result.id)

    def attempt(self, result: TaskResult) -> Attempt:
        return Attempt(result, worker_id="test", sender=CapturingBackend, save=self.save)

    def assert_enqueued(self, task: DjangoTask, *args: Any, **kwargs: Any) -> TaskResult:
        """Return the result of a task that was enqueued with these arguments.

        Raises AssertionError, which says what was enqueued instead.
        """
        wanted = (task.func, normalize_json(args), normalize_json(kwargs))
        for result in self.enqueued:
            if (result.task.func, result.args, result.kwargs) == wanted:
                return result
        raise AssertionError(
            f"{describe(task, list(args), kwargs)} was not enqueued. Enqueued were: "
            + (
                ", ".join(describe(one.task, one.args, one.kwargs) for one in self.enqueued)
                or f"none{unless_committed()}"
            )
        )


def describe(task: DjangoTask, args: list[Any], kwargs: dict[str, Any]) -> str:
    words = [*map(repr, args), *(f"{name}={value!r}" for name, value in kwargs.items())]
    return f"{task.module_path}({', '.join(words)})"


def unless_committed() -> str:
    """Return what to do where a test's own transaction, which never commits, may hold tasks."""
    if not any(one.run_on_commit for one in connections.all(initialized_only=True)):
        return ""
    return (
        "; but tasks wait for the commit of the transaction that they are enqueued in: in a"
        " TestCase use captureOnCommitCallbacks(execute=True)"
    )


_captured = CapturedTasks()


class CapturingBackend(HybridBackend[Options]):
    """Stands for every backend while tasks are captured."""

    options_class = Options
    supports_accept = True

    def row_for(self, result: TaskResult) -> None:
        """What is captured needs no row: it cannot be lost."""

    def dispatch(self, result: TaskResult) -> None:
        _captured.add(result)
        announcements.enqueued.send(type(self), result)

    async def adispatch(self, result: TaskResult) -> None:
        self.dispatch(result)

    def local_result(self, result_id: str) -> TaskResult | None:
        return _captured.get(result_id)

    def cancel(self, result_id: str) -> bool:
        result = _captured.get(result_id)
        if result.is_finished:
            return False
        _captured.attempt(result).fail(TaskCancelled())
        return True

    async def acancel(self, result_id: str) -> bool:
        return self.cancel(result_id)


@contextmanager
def capture_tasks() -> Iterator[CapturedTasks]:
    """Capture what is enqueued in the block, through any alias of TASKS; run it when told to.

    A task enqueued by sync code inside a transaction is captured on commit, as it is sent then: in
    a `TestCase` use `captureOnCommitCallbacks(execute=True)`.
    """
    global _captured
    given_tasks: dict[str, Any] = dict(settings.TASKS)
    tasks = {
        alias: {
            "BACKEND": f"{__name__}.{CapturingBackend.__name__}",
            "QUEUES": given.get("QUEUES", ["default"]),
        }
        for alias, given in given_tasks.items()
    }
    before, _captured = _captured, CapturedTasks()
    try:
        with override_settings(TASKS=tasks):
            yield _captured
    finally:
        _captured = before


@contextmanager
def run_tasks() -> Iterator[CapturedTasks]:
    """Capture what is enqueued in the block and run it at its end; see `results` then."""
    with capture_tasks() as captured:
        yield captured
        captured.run()
