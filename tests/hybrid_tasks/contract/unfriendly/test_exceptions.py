"""Exceptions that nobody expects, from tasks of either kind."""

import pytest
from django.tasks import TaskResultStatus

from hybrid_tasks.results import states
from hybrid_tasks.results.task_result import TaskResult
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.contract.conftest import Contract
from tests.hybrid_tasks.contract.unfriendly import tasks as unfriendly
from tests.hybrid_tasks.contract.unfriendly.errors import RAISED
from tests.hybrid_tasks.contract.waiting import finished

ENOUGH = 40_000  # characters
CHANGED = "builtins.RuntimeError"  # Python lets neither coroutines nor futures end by StopIteration


def path_of(name: str, kind: str = "fail", backend: str = "eventloop") -> str:
    """Return the path of what a task's error is when it raises what has that name."""
    if name == "stop" and (kind == "fail" or backend == "eventloop"):
        return CHANGED
    error = type(RAISED[name]())
    return f"{error.__module__}.{error.__qualname__}"


async def alive(contract: Contract) -> None:
    assert (await contract.run(tasks.plain, "alive")).return_value == "alive"


def assert_told(result: TaskResult, paths: list[str]) -> None:
    assert result.status == TaskResultStatus.FAILED
    assert [error.exception_class_path for error in result.errors] == paths
    assert all(0 < len(error.traceback) < ENOUGH for error in result.errors)
    assert states.decode(states.encode(result)) == result


@pytest.mark.parametrize("kind", ["fail", "fail_sync"])
@pytest.mark.parametrize("name", RAISED)
async def test_whatever_is_raised_fails_its_task_and_no_other(
    contract: Contract, name: str, kind: str
) -> None:
    """P3 and rule 4: what a task raises is data."""
    result = await contract.run(getattr(unfriendly, kind), name)
    assert_told(result, [path_of(name, kind, contract.name)])
    await alive(contract)


@pytest.mark.parametrize("name", RAISED)
async def test_only_exceptions_are_tried_again(contract: Contract, name: str) -> None:
    """What would end a process does so once."""
    result = await contract.run(unfriendly.fail_twice, name)
    error = RAISED[name]()
    again = isinstance(error, Exception) or name == "cancelled"
    assert_told(result, [path_of(name)] * (2 if again else 1))


@pytest.mark.parametrize("name", ["group", "exit", "no text", "ten megabytes", "circle"])
async def test_a_durable_task_keeps_its_error_in_its_row(contract: Contract, name: str) -> None:
    result = await finished(await contract.of(unfriendly.fail, durable=True).aenqueue(name))
    assert_told(result, [path_of(name)])
    await alive(contract)


async def test_the_beginning_and_the_end_of_a_long_text_are_kept(contract: Contract) -> None:
    result = await contract.run(unfriendly.fail, "ten megabytes")
    assert result.errors[0].traceback.startswith("Traceback (most recent call last):")
    assert "characters are left out" in result.errors[0].traceback


async def test_every_member_of_a_group_is_told(contract: Contract) -> None:
    result = await contract.run(unfriendly.fail, "group")
    for part in ("ExceptionGroup: outer", "ExceptionGroup: inner", "ValueError: 1", "OSError: io"):
        assert part in result.errors[0].traceback
