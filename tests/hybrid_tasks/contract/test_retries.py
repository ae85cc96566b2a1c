"""Tasks with several attempts, and those with one."""

from typing import Any

import pytest
from django.tasks import TaskResultStatus

from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.contract.conftest import Contract, everywhere
from tests.hybrid_tasks.contract.waiting import finished

pytestmark = everywhere

both_kinds = pytest.mark.parametrize(
    "task", [tasks.succeed_at, tasks.succeed_at_sync], ids=["async", "sync"]
)


@both_kinds
async def test_is_tried_until_it_succeeds(contract: Contract, task: Any) -> None:
    result = await contract.run(task, 3)
    assert result.status == TaskResultStatus.SUCCESSFUL
    assert result.return_value == 3
    assert result.attempts == len(result.worker_ids) == 3
    assert [error.exception_class for error in result.errors] == [ValueError, ValueError]
    assert "attempt 1" in result.errors[0].traceback
    assert "attempt 2" in result.errors[1].traceback
    assert result.started_at is not None
    assert result.last_attempted_at is not None
    assert result.started_at < result.last_attempted_at


@both_kinds
async def test_fails_when_no_attempt_is_left(contract: Contract, task: Any) -> None:
    result = await contract.run(task, 4)
    assert result.status == TaskResultStatus.FAILED
    assert (result.attempts, len(result.errors)) == (3, 3)


async def test_stops_at_the_first_success(contract: Contract) -> None:
    result = await contract.run(tasks.succeed_at, 1)
    assert (result.attempts, result.errors) == (1, [])


async def test_one_attempt_is_the_default(contract: Contract) -> None:
    result = await contract.run(tasks.fail, "bad meat")
    assert (result.status, result.attempts, len(result.errors)) == (TaskResultStatus.FAILED, 1, 1)
    await contract.ledger.until(result.id, "finished")  # told after the result was stored
    assert contract.ledger.events(result.id) == ["started", "finished"]


async def test_attempts_can_be_given_at_enqueueing(contract: Contract) -> None:
    task = contract.of(tasks.succeed_at, max_attempts=5)
    result = await finished(await task.aenqueue(5))
    assert (result.status, result.attempts) == (TaskResultStatus.SUCCESSFUL, 5)


async def test_attempts_can_be_given_to_a_task_that_has_one(contract: Contract) -> None:
    task = contract.of(tasks.fail, max_attempts=2, backoff=tasks.at_once)
    result = await finished(await task.aenqueue("bad meat"))
    assert (result.status, result.attempts) == (TaskResultStatus.FAILED, 2)


async def test_the_backoff_hears_of_exception_and_result(contract: Contract) -> None:
    result = await contract.run(tasks.succeed_at, 3)
    told = [line for line in contract.ledger.of(result.id) if line["event"] == "backoff"]
    assert [(line["exception"], line["attempts"]) for line in told] == [
        ("ValueError('attempt 1')", 1),
        ("ValueError('attempt 2')", 2),
    ]


async def test_a_backoff_of_none_gives_up(contract: Contract) -> None:
    result = await contract.run(tasks.give_up)
    assert (result.status, result.attempts) == (TaskResultStatus.FAILED, 1)


async def test_a_backoff_can_be_given_at_enqueueing(contract: Contract) -> None:
    task = contract.of(tasks.succeed_at, backoff=tasks.never)
    result = await finished(await task.aenqueue(3))
    assert (result.status, result.attempts) == (TaskResultStatus.FAILED, 1)


async def test_a_backoff_that_raises_fails_the_task_openly(contract: Contract) -> None:
    result = await contract.run(tasks.fail_with_broken_backoff)
    assert (result.status, result.attempts) == (TaskResultStatus.FAILED, 1)
    assert result.errors[-1].exception_class is ArithmeticError
    assert "ValueError: an error" in result.errors[-1].traceback


async def test_each_attempt_gets_the_arguments_as_enqueued(contract: Contract) -> None:
    result = await contract.run(tasks.spoil_argument, ["fresh"])
    assert result.attempts == 2
    assert "ValueError: items: ['fresh', 'spoilt']\n" in result.errors[-1].traceback
    assert result.args == [["fresh"]]
