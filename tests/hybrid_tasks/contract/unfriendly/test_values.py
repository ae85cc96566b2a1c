"""Arguments, return values and metadata that nobody expects."""

from typing import Any

import pytest
from django.tasks import TaskResultStatus
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hybrid_tasks.exceptions import ValueTooLarge
from hybrid_tasks.results.task_result import TaskResult
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.contract.conftest import Contract
from tests.hybrid_tasks.contract.unfriendly import tasks as unfriendly
from tests.hybrid_tasks.contract.unfriendly.values import (
    KEPT,
    REFUSED,
    TOO_LARGE,
    anything,
    as_json,
    by_name,
    kept,
)
from tests.hybrid_tasks.contract.waiting import finished

durable_or_not = pytest.mark.parametrize("durable", [False, True], ids=["ordinary", "durable"])
both_kinds = pytest.mark.parametrize("kind", ["give", "give_sync"])
drawn = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


async def alive(contract: Contract) -> None:
    """Fail unless another task runs after all that."""
    assert (await contract.run(tasks.plain, "alive")).return_value == "alive"


def assert_failed_by(result: TaskResult, kind: type[BaseException]) -> None:
    assert result.status == TaskResultStatus.FAILED
    assert [error.exception_class for error in result.errors] == [kind]


@durable_or_not
@pytest.mark.parametrize("name", KEPT)
async def test_what_json_can_hold_goes_both_ways(
    contract: Contract, name: str, durable: bool
) -> None:
    given_value, expected = by_name(name), kept(name)
    result = await contract.of(tasks.echo, durable=durable).aenqueue(given_value, word=given_value)
    assert repr(result.args) == repr([expected])
    await finished(result)
    assert repr(result.return_value) == repr({"args": [expected], "kwargs": {"word": expected}})
    assert repr((result.args, result.kwargs)) == repr(([expected], {"word": expected}))


@pytest.mark.parametrize("name", REFUSED)
async def test_what_json_cannot_hold_is_refused_at_the_door(contract: Contract, name: str) -> None:
    """C1: and in no thread that others need."""
    for durable in (False, True):
        task = contract.of(tasks.echo, durable=durable)
        with pytest.raises(TypeError):
            await task.aenqueue(by_name(name))
        with pytest.raises(TypeError):
            await task.aenqueue(word=by_name(name))
    await alive(contract)


@pytest.mark.parametrize("name", TOO_LARGE)
async def test_what_is_too_large_is_refused_at_the_door(contract: Contract, name: str) -> None:
    for durable in (False, True):
        with pytest.raises(ValueTooLarge):
            await contract.of(tasks.echo, durable=durable).aenqueue(by_name(name))
    await alive(contract)


@both_kinds
@pytest.mark.parametrize("name", KEPT)
async def test_a_return_value_comes_back_as_json(contract: Contract, kind: str, name: str) -> None:
    result = await contract.run(getattr(unfriendly, kind), name)
    assert repr(result.return_value) == repr(kept(name))


@both_kinds
@pytest.mark.parametrize("name", REFUSED)
async def test_a_return_value_that_json_cannot_hold_fails_its_task(
    contract: Contract, kind: str, name: str
) -> None:
    """C1: its own task, and openly."""
    assert_failed_by(await contract.run(getattr(unfriendly, kind), name), TypeError)
    await alive(contract)


@both_kinds
@pytest.mark.parametrize("name", TOO_LARGE)
async def test_a_return_value_that_is_too_large_fails_its_task(
    contract: Contract, kind: str, name: str
) -> None:
    result = await contract.run(getattr(unfriendly, kind), name)
    assert_failed_by(result, ValueTooLarge)
    assert "The return value takes" in result.errors[0].traceback
    await alive(contract)


@pytest.mark.parametrize("how", ["save", "keep"])
@pytest.mark.parametrize("name", KEPT)
async def test_metadata_comes_back_as_json(contract: Contract, how: str, name: str) -> None:
    result = await contract.run(getattr(unfriendly, how), name)
    assert result.status == TaskResultStatus.SUCCESSFUL
    assert repr(result.metadata) == repr({"value": kept(name)})


@pytest.mark.parametrize("how", ["save", "keep"])
@pytest.mark.parametrize("name", [*REFUSED, *TOO_LARGE])
async def test_metadata_that_cannot_be_kept_fails_its_task(
    contract: Contract, how: str, name: str
) -> None:
    result = await contract.run(getattr(unfriendly, how), name)
    assert_failed_by(result, ValueTooLarge if name in TOO_LARGE else TypeError)
    assert result.metadata == {}
    await alive(contract)


@durable_or_not
@pytest.mark.parametrize("name", [*KEPT, *REFUSED, *TOO_LARGE])
async def test_metadata_can_be_given_and_refused_at_the_door(
    contract: Contract, name: str, durable: bool
) -> None:
    """C1: where it is given, or at the latest where the task is enqueued."""
    metadata = {"value": by_name(name)}
    if name in KEPT:
        result = await contract.of(tasks.echo, durable=durable, metadata=metadata).aenqueue()
        assert repr((await finished(result)).metadata) == repr({"value": kept(name)})
    else:
        with pytest.raises(ValueTooLarge if name in TOO_LARGE else TypeError):
            await contract.of(tasks.echo, durable=durable, metadata=metadata).aenqueue()
        await alive(contract)


@drawn
@given(value=anything, durable=st.booleans())
async def test_whatever_is_given_is_refused_or_comes_back(
    contract: Contract, value: Any, durable: bool
) -> None:
    """What says which is the standard library's json."""
    task = contract.of(tasks.plain, durable=durable) if durable else contract.of(tasks.plain)
    try:
        expected = as_json(value)
    except (TypeError, ValueError):
        with pytest.raises(TypeError):
            await task.aenqueue(value)
        return
    enqueued: Any = await task.aenqueue(value)
    result = await finished(enqueued)
    assert repr(result.args) == repr([expected])
    assert repr(result.return_value) == repr(expected)


async def test_what_a_task_does_to_its_arguments_is_its_own_affair(contract: Contract) -> None:
    given_value = [[["fresh"]]]
    result = await contract.run(unfriendly.take_apart, given_value)
    assert result.return_value == "spoilt"
    assert result.args == [[[["fresh"]]]]
    assert given_value == [[["fresh"]]]


async def test_what_a_task_does_to_its_result_is_its_own_affair(contract: Contract) -> None:
    """What it holds is a copy, which it may refresh."""
    result = await contract.run(unfriendly.spoil_its_result)
    assert (result.return_value, result.attempts, result.errors) == ("spoilt", 1, [])
    assert result.enqueued_at is not None
