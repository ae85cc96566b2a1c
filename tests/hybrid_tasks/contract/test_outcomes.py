"""What becomes of a task that is called, well-behaved or not."""

from typing import Any

import pytest
from django.tasks import TaskResultStatus

from hybrid_tasks.results.task_result import TaskResult
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.contract.conftest import Contract


def assert_failed_once(result: TaskResult, error: type[BaseException], text: str) -> None:
    assert result.status == TaskResultStatus.FAILED
    assert result.attempts == 1
    assert [one.exception_class for one in result.errors] == [error]
    assert text in result.errors[0].traceback
    assert result.finished_at is not None


@pytest.mark.parametrize("task", [tasks.plain, tasks.plain_sync], ids=["async", "sync"])
async def test_tasks_of_djangos_own_decorator_run_with_the_defaults(
    contract: Contract, task: Any
) -> None:
    result = await contract.run(task, "ribs")
    assert result.return_value == "ribs"
    ours: Any = result.task
    assert (ours.max_attempts, ours.timeout, ours.durable, result.metadata) == (1, None, False, {})


@pytest.mark.parametrize(
    "task", [tasks.introduce_itself, tasks.introduce_itself_sync], ids=["async", "sync"]
)
async def test_a_task_can_see_its_context(contract: Contract, task: Any) -> None:
    result = await contract.run(task, greeting="hello")
    assert result.return_value == {"id": result.id, "attempt": 1, "greeting": "hello"}


@pytest.mark.parametrize("task", [tasks.fail, tasks.fail_sync], ids=["async", "sync"])
async def test_an_exception_fails_the_task(contract: Contract, task: Any) -> None:
    result = await contract.run(task, "bad meat")
    assert_failed_once(result, ValueError, "ValueError: bad meat")
    assert task.name in result.errors[0].traceback


@pytest.mark.parametrize("task", [tasks.leave, tasks.leave_sync], ids=["async", "sync"])
async def test_an_exit_fails_the_task_and_nothing_else(contract: Contract, task: Any) -> None:
    result = await contract.run(task)
    assert_failed_once(result, SystemExit, "SystemExit: that is it")
    assert "WorkerLost" not in contract.log()
    assert (await contract.run(tasks.plain, 1)).return_value == 1


async def test_an_exit_is_not_tried_again(contract: Contract) -> None:
    assert_failed_once(await contract.run(tasks.leave_each_time), SystemExit, "that is it")


async def test_a_task_that_cancels_itself_fails(contract: Contract) -> None:
    result = await contract.run(tasks.raise_cancelled)
    assert result.status == TaskResultStatus.FAILED
    assert result.errors[0].exception_class.__name__ == "CancelledError"
    assert "WorkerLost" not in contract.log()


@pytest.mark.parametrize(
    "task", [tasks.return_unserialisable, tasks.return_unserialisable_sync], ids=["async", "sync"]
)
async def test_a_value_that_json_cannot_hold_fails_the_task(contract: Contract, task: Any) -> None:
    assert_failed_once(await contract.run(task), TypeError, "Unsupported type")


async def test_missing_arguments_fail_the_task(contract: Contract) -> None:
    assert_failed_once(await contract.run(tasks.fail), TypeError, "message")


async def test_an_exception_that_cannot_be_pickled_fails_the_task(contract: Contract) -> None:
    result = await contract.run(tasks.fail_unpicklably)
    assert_failed_once(result, tasks.Unpicklable, "neither nor")
    assert (await contract.run(tasks.plain, 1)).return_value == 1


async def test_an_exception_without_text_fails_the_task(contract: Contract) -> None:
    result = await contract.run(tasks.fail_unprintably)
    assert_failed_once(result, tasks.Unprintable, "Unprintable")
    assert (await contract.run(tasks.plain, 1)).return_value == 1
