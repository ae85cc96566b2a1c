"""Priorities and names of queues, all that may be given."""

from typing import Any

import pytest
from django.tasks import TaskResultStatus
from django.tasks.exceptions import InvalidTask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.contract.conftest import Contract
from tests.hybrid_tasks.contract.waiting import finished
from tests.hybrid_tasks.ids import plain

NO_PRIORITIES = [101, -101, 1.5, "5", float("nan"), float("inf"), 10**5000, [1], b"1"]
NO_QUEUES = ["", " ", "default ", "DEFAULT", "default,heavy", "*", "\x00", "\ud800", "x" * 10_000]


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(priority=st.integers(-100, 100), durable=st.booleans())
async def test_every_priority_runs_and_comes_back(
    contract: Contract, priority: int, durable: bool
) -> None:
    """C23: priority 0, too, which was a queue of its own on Redis."""
    result = await finished(
        await contract.of(tasks.echo, priority=priority, durable=durable).aenqueue()
    )
    assert result.status == TaskResultStatus.SUCCESSFUL
    assert result.task.priority == priority


@pytest.mark.parametrize("priority", NO_PRIORITIES, ids=lambda one: repr(type(one)))
async def test_what_is_no_priority_is_refused(contract: Contract, priority: Any) -> None:
    with pytest.raises(InvalidTask):
        contract.of(tasks.echo, priority=priority)


@pytest.mark.parametrize("name", NO_QUEUES, ids=plain)
async def test_what_is_no_queue_of_the_backend_is_refused(contract: Contract, name: str) -> None:
    with pytest.raises(InvalidTask):
        contract.of(tasks.echo, queue_name=name)
