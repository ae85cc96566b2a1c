"""Limits to the time of one attempt."""

from typing import Any

import pytest
from django.tasks import TaskResultStatus

from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.contract.conftest import Contract
from tests.hybrid_tasks.contract.waiting import finished


@pytest.mark.parametrize(
    ("task", "limit"), [(tasks.hang, 0.5), (tasks.nap, tasks.LIMIT)], ids=["async", "sync"]
)
async def test_an_attempt_that_takes_too_long_fails(
    contract: Contract, task: Any, limit: float
) -> None:
    result = await finished(await contract.of(task, timeout=limit).aenqueue())
    assert result.status == TaskResultStatus.FAILED
    assert [error.exception_class for error in result.errors] == [TimeoutError]
    assert (
        f"TimeoutError: {task.module_path} took longer than its timeout of {limit:g} s."
        in result.errors[0].traceback
    )
    assert result.started_at is not None
    assert result.finished_at is not None
    assert (result.finished_at - result.started_at).total_seconds() >= 0.4


async def test_a_coroutine_cleans_up_before_it_fails(contract: Contract) -> None:
    result = await finished(await contract.of(tasks.hang, timeout=0.5).aenqueue())
    await contract.ledger.until(result.id, "finished")  # told after the result was stored
    assert contract.ledger.events(result.id) == [
        "started",
        "ran",
        "cancelled",
        "cleaned up",
        "finished",
    ]


@pytest.mark.parametrize(
    "task", [tasks.hang_at_first, tasks.hang_at_first_sync], ids=["async", "sync"]
)
async def test_an_attempt_out_of_time_is_followed_by_another(contract: Contract, task: Any) -> None:
    result = await contract.run(task)
    assert result.status == TaskResultStatus.SUCCESSFUL
    assert result.return_value == 2
    assert [error.exception_class for error in result.errors] == [TimeoutError]


async def test_a_timeout_inside_a_task_is_its_own(contract: Contract) -> None:
    result = await finished(await contract.of(tasks.hang_inside_timeout, timeout=60).aenqueue())
    assert result.errors[0].exception_class is TimeoutError
    assert "longer than its timeout" not in result.errors[0].traceback


@pytest.mark.parametrize("task", [tasks.echo, tasks.echo_sync], ids=["async", "sync"])
async def test_a_task_in_time_is_left_alone(contract: Contract, task: Any) -> None:
    result = await finished(await contract.of(task, timeout=60).aenqueue())
    assert result.status == TaskResultStatus.SUCCESSFUL
