"""Backoffs that answer what nobody expects."""

import time
from typing import Any

import pytest
from django.tasks import TaskResultStatus

from hybrid_tasks.exceptions import TaskCancelled
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.contract.conftest import Contract
from tests.hybrid_tasks.contract.unfriendly import tasks as unfriendly
from tests.hybrid_tasks.contract.unfriendly.backoffs import BROKEN, SOUND
from tests.hybrid_tasks.contract.unfriendly.tasks import trying
from tests.hybrid_tasks.contract.waiting import finished, refreshed_until

both_kinds = pytest.mark.parametrize("kind", ["try_again", "try_again_sync"])
durable_or_not = pytest.mark.parametrize("durable", [False, True], ids=["ordinary", "durable"])


@both_kinds
@pytest.mark.parametrize("name", BROKEN)
async def test_an_answer_that_is_no_time_fails_the_task_openly(
    contract: Contract, name: str, kind: str
) -> None:
    """C18, P4: the task stayed READY for ever, with its place taken and its lease renewed."""
    task = trying(name, getattr(unfriendly, kind))
    result = await finished(await contract.of(task).aenqueue())
    assert result.status == TaskResultStatus.FAILED
    assert result.attempts == 1
    assert result.errors[-1].exception_class is BROKEN[name][1]
    # Of what the task raised itself, nothing is lost.
    assert "ValueError: not yet" in result.errors[-1].traceback
    assert (await contract.run(tasks.plain, "alive")).return_value == "alive"


@pytest.mark.parametrize("name", ["inf", "exit"])
async def test_a_durable_task_fails_as_openly(contract: Contract, name: str) -> None:
    """C18: and its row is nobody's then but a person's."""
    result = await finished(await contract.of(trying(name), durable=True).aenqueue())
    assert (result.status, result.attempts) == (TaskResultStatus.FAILED, 1)
    assert result.errors[-1].exception_class is BROKEN[name][1]


@both_kinds
@pytest.mark.parametrize("name", SOUND)
async def test_a_time_that_is_over_is_no_wait(contract: Contract, name: str, kind: str) -> None:
    task = trying(name, getattr(unfriendly, kind))
    result = await finished(await contract.of(task).aenqueue())
    assert (result.status, result.attempts, len(result.errors)) == (TaskResultStatus.FAILED, 3, 3)


async def test_an_object_to_await_is_no_backoff(contract: Contract) -> None:
    """C18: what it returned was a coroutine that nobody awaited."""
    result = await contract.run(unfriendly.try_again_later)
    assert (result.status, result.attempts) == (TaskResultStatus.FAILED, 1)
    assert result.errors[-1].exception_class is TypeError


@durable_or_not
async def test_a_time_beyond_all_clocks_is_a_year(contract: Contract, durable: bool) -> None:
    """P4: 5**2000 seconds overflowed timers; what waits so long takes nobody's place."""
    result = await contract.of(unfriendly.far_away, durable=durable).aenqueue()
    await refreshed_until(result, lambda it: it.errors, "the first attempt fails")
    assert (await contract.run(tasks.plain, "alive")).return_value == "alive"
    await result.arefresh()
    assert (result.status, result.attempts) == (TaskResultStatus.READY, 1)
    began = time.monotonic()
    cancelled: Any = await contract.backend.acancel(result.id)
    while not cancelled and time.monotonic() < began + 60:  # its row may be written this moment
        cancelled = await contract.backend.acancel(result.id)
    await finished(result)
    assert result.errors[-1].exception_class is TaskCancelled
