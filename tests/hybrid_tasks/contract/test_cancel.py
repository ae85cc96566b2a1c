"""Cancelling what waits, what runs and what has ended."""

import asyncio
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.tasks import TaskResultStatus
from django.tasks.signals import task_finished
from django.utils import timezone

from hybrid_tasks.exceptions import TaskCancelled
from hybrid_tasks.results.task_result import TaskResult
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.contract.conftest import AHEAD, Contract
from tests.hybrid_tasks.contract.waiting import finished, refreshed_until, until
from tests.hybrid_tasks.threads import in_thread


def assert_cancelled(result: TaskResult) -> None:
    assert result.status == TaskResultStatus.FAILED
    assert result.errors[-1].exception_class is TaskCancelled
    assert "cancelled by a person" in result.errors[-1].traceback
    assert result.finished_at is not None


@pytest.mark.usefixtures("near")
async def test_what_waits_never_starts(contract: Contract) -> None:
    due = timezone.now() + AHEAD
    one = await contract.of(tasks.begin, run_after=due).aenqueue()
    other = await contract.of(tasks.begin, run_after=due).aenqueue()
    later = await contract.of(tasks.begin, run_after=due + timedelta(seconds=0.5)).aenqueue()
    assert await contract.backend.acancel(one.id) is True
    assert await in_thread(contract.backend.cancel, other.id) is True
    assert_cancelled(await finished(one))
    assert_cancelled(await finished(other))
    assert (one.attempts, other.attempts) == (0, 0)
    await finished(later)
    assert "ran" in contract.ledger.events(later.id)
    assert contract.ledger.events(one.id) == contract.ledger.events(other.id) == ["finished"]


async def test_at_once_after_enqueueing(contract: Contract) -> None:
    """Whether it has begun is chance; that it is not left unfinished is none."""
    result = await contract.of(tasks.hang).aenqueue()
    assert await contract.backend.acancel(result.id) is True
    assert_cancelled(await finished(result))


async def test_a_running_coroutine_is_stopped(contract: Contract) -> None:
    result = await contract.of(tasks.hang).aenqueue()
    await contract.ledger.until(result.id, "ran")
    assert await contract.backend.acancel(result.id) is True
    assert_cancelled(await finished(result))
    assert result.attempts == 1
    await contract.ledger.until(result.id, "cleaned up")
    # Who cancels tells the end, so that the clean-up of another process may come after it.
    events = contract.ledger.events(result.id)
    assert sorted(events) == sorted(["started", "ran", "cancelled", "cleaned up", "finished"])
    assert events.index("cancelled") < events.index("cleaned up")
    assert (await contract.run(tasks.plain, 1)).return_value == 1


async def test_a_coroutine_that_swallows_its_cancellation_is_cancelled(contract: Contract) -> None:
    """P8: on the event loop it was SUCCESSFUL."""
    result = await contract.of(tasks.survive_cancellation).aenqueue()
    await contract.ledger.until(result.id, "ran")
    assert await contract.backend.acancel(result.id) is True
    assert_cancelled(await finished(result))
    assert (await contract.run(tasks.plain, 1)).return_value == 1
    await result.arefresh()
    assert_cancelled(result)


async def test_a_running_function_is_given_up(contract: Contract) -> None:
    result = await contract.of(tasks.nap_noting).aenqueue()
    await contract.ledger.until(result.id, "ran")
    assert await in_thread(contract.backend.cancel, result.id) is True
    assert_cancelled(await finished(result))


async def test_what_has_attempts_left_is_not_tried_again(contract: Contract) -> None:
    result = await contract.of(tasks.hang, max_attempts=3, backoff=tasks.at_once).aenqueue()
    await contract.ledger.until(result.id, "ran")
    assert await contract.backend.acancel(result.id) is True
    assert_cancelled(await finished(result))
    assert result.attempts == 1


@pytest.mark.usefixtures("relaying")
async def test_what_waits_for_its_next_attempt_is_not_tried_again(contract: Contract) -> None:
    task = contract.of(tasks.fail_slowly)
    result, later = await task.aenqueue(), await task.aenqueue()
    await refreshed_until(result, lambda it: it.errors, "the first attempt fails")
    assert await contract.backend.acancel(result.id) is True
    assert_cancelled(await finished(result))
    assert (await finished(later)).attempts == 2
    assert contract.ledger.events(result.id) == ["started", "finished"]


async def test_what_has_ended_stays_as_it_is(contract: Contract) -> None:
    for task, arguments in ((tasks.plain, ["ribs"]), (tasks.fail, ["bad meat"])):
        result = await contract.run(task, *arguments)
        status = result.status
        assert await contract.backend.acancel(result.id) is False
        assert await in_thread(contract.backend.cancel, result.id) is False
        await result.arefresh()
        assert result.status == status


async def test_what_ends_this_moment_stays_as_it_is(contract: Contract) -> None:
    """A loop that has run a task's last step has not yet been told of its end."""
    answers: list[bool] = []

    def cancel_next(task_result: Any, **_kwargs: Any) -> None:
        cancel = partial(contract.backend.cancel, task_result.id)
        asyncio.get_running_loop().call_soon(lambda: answers.append(cancel()))

    task_finished.connect(cancel_next)
    try:
        result = await contract.run(tasks.plain, "ribs")
        await until(lambda: answers or contract.worker, "the cancelling has been tried")
    finally:
        task_finished.disconnect(cancel_next)
    await result.arefresh()
    assert (result.status, any(answers)) == (TaskResultStatus.SUCCESSFUL, False)


async def test_a_second_cancel_changes_nothing(contract: Contract) -> None:
    result = await contract.of(tasks.hang).aenqueue()
    await contract.ledger.until(result.id, "ran")
    assert await contract.backend.acancel(result.id) is True
    assert_cancelled(await finished(result))
    assert await contract.backend.acancel(result.id) is False
    await result.arefresh()
    assert len(result.errors) == 1
