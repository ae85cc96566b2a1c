"""What a task can be enqueued with, and what enqueueing it returns."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.tasks import TaskResultStatus
from django.tasks.exceptions import InvalidTask
from django.utils import timezone

from hybrid_tasks.results.task_result import TaskResult
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.contract.conftest import Contract
from tests.hybrid_tasks.contract.waiting import finished
from tests.hybrid_tasks.threads import in_thread

type Enqueue = Callable[..., Awaitable[TaskResult]]


async def asynchronously(task: Any, *args: Any, **kwargs: Any) -> TaskResult:
    result: TaskResult = await task.aenqueue(*args, **kwargs)
    return result


async def in_a_thread(task: Any, *args: Any, **kwargs: Any) -> TaskResult:
    result: TaskResult = await in_thread(task.enqueue, *args, **kwargs)
    return result


async def on_the_loop(task: Any, *args: Any, **kwargs: Any) -> TaskResult:
    result: TaskResult = task.enqueue(*args, **kwargs)
    return result


every_way = pytest.mark.parametrize("enqueue", [asynchronously, in_a_thread, on_the_loop])


@every_way
async def test_returns_a_ready_result(contract: Contract, enqueue: Enqueue) -> None:
    before = timezone.now()
    task = contract.of(tasks.echo, priority=7)
    result = await enqueue(task, 1, word="ribs")
    assert result.status == TaskResultStatus.READY
    assert result.task == task
    assert (result.args, result.kwargs) == ([1], {"word": "ribs"})
    assert result.backend == contract.alias
    assert result.id
    assert result.enqueued_at is not None
    assert before <= result.enqueued_at <= timezone.now()
    assert (result.started_at, result.finished_at, result.last_attempted_at) == (None, None, None)
    assert (result.errors, result.worker_ids, result.attempts) == ([], [], 0)
    assert not result.is_finished
    await finished(result)


@every_way
async def test_the_task_runs_however_it_was_enqueued(contract: Contract, enqueue: Enqueue) -> None:
    result = await finished(await enqueue(contract.of(tasks.echo), 1, word="ribs"))
    assert result.return_value == {"args": [1], "kwargs": {"word": "ribs"}}


async def test_each_enqueueing_has_its_own_id(contract: Contract) -> None:
    one, other = await contract.run(tasks.echo, 1), await contract.run(tasks.echo, 2)
    assert one.id != other.id
    assert (one.return_value["args"], other.return_value["args"]) == ([1], [2])


@pytest.mark.parametrize(
    "options",
    [
        {"priority": 101},
        {"priority": -101},
        {"priority": 1.5},
        {"run_after": datetime(2030, 1, 1)},  # noqa: DTZ001 - naive is the point
        {"queue_name": "no such queue"},
        {"max_attempts": 0},
        {"timeout": 0},
    ],
    ids=lambda options: next(iter(options)),
)
async def test_what_cannot_be_done_is_refused(contract: Contract, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidTask):
        contract.of(tasks.echo, **options)


@pytest.mark.parametrize("priority", [-100, 0, 100])
async def test_every_priority_runs(contract: Contract, priority: int) -> None:
    result = await finished(await contract.of(tasks.echo, priority=priority).aenqueue())
    assert result.status == TaskResultStatus.SUCCESSFUL
    assert result.task.priority == priority


@every_way
@pytest.mark.parametrize(
    "argument", [object(), {1, 2}, {"deep": [timezone.now()]}], ids=["object", "set", "datetime"]
)
async def test_arguments_that_json_cannot_hold_are_refused(
    contract: Contract, enqueue: Enqueue, argument: Any
) -> None:
    with pytest.raises(TypeError):
        await enqueue(contract.of(tasks.echo), argument)
    with pytest.raises(TypeError):
        await enqueue(contract.of(tasks.echo), word=argument)


async def test_run_after_is_the_earliest_time(contract: Contract) -> None:
    due = timezone.now() + timedelta(seconds=1)
    result = await finished(await contract.of(tasks.echo, run_after=due).aenqueue())
    assert result.status == TaskResultStatus.SUCCESSFUL
    assert result.started_at is not None
    assert result.started_at >= due
    assert result.task.run_after == due


async def test_run_after_in_the_past_runs_now(contract: Contract) -> None:
    past = timezone.now() - timedelta(hours=1)
    result = await finished(await contract.of(tasks.echo, run_after=past).aenqueue())
    assert result.status == TaskResultStatus.SUCCESSFUL


async def test_using_keeps_everything_else(contract: Contract) -> None:
    changed = contract.of(tasks.report_progress, priority=3, max_attempts=4, timeout=9)
    again = changed.using(priority=5)
    assert (again.priority, again.max_attempts, again.timeout) == (5, 4, 9)
    assert (again.backend, again.takes_context) == (contract.alias, True)
    assert again.metadata == tasks.report_progress.metadata
    assert again.backoff is tasks.report_progress.backoff
    assert (changed.priority, tasks.report_progress.priority) == (3, 0)
