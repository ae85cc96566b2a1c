"""What can be known of a task, and by whom."""

from typing import Any

import pytest
import redis
from django.tasks import TaskResultStatus
from django.tasks.exceptions import TaskResultDoesNotExist, TaskResultMismatch

from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.contract.conftest import Contract
from tests.hybrid_tasks.contract.waiting import finished
from tests.hybrid_tasks.ids import plain
from tests.hybrid_tasks.threads import in_thread


async def test_a_success_is_told_whole(contract: Contract) -> None:
    result = await contract.run(tasks.echo, "a")
    assert result.status == TaskResultStatus.SUCCESSFUL
    assert result.is_finished
    assert result.errors == []
    assert result.attempts == len(result.worker_ids) == 1
    assert isinstance(result.worker_ids[0], str)
    assert result.enqueued_at is not None
    assert result.started_at is not None
    assert result.finished_at is not None
    assert result.enqueued_at <= result.started_at <= result.finished_at
    assert result.last_attempted_at == result.started_at


async def test_a_result_changes_only_when_refreshed(contract: Contract) -> None:
    task = contract.of(tasks.echo)
    result = await task.aenqueue("a")
    await finished(await task.aget_result(result.id))
    assert result.status == TaskResultStatus.READY
    await in_thread(result.refresh)
    assert result.status == TaskResultStatus.SUCCESSFUL
    assert result.return_value == {"args": ["a"], "kwargs": {}}


async def test_is_found_by_id(contract: Contract) -> None:
    task = contract.of(tasks.echo)
    result = await contract.run(tasks.echo, "a", word="b")
    for found in (
        task.get_result(result.id),
        await task.aget_result(result.id),
        contract.backend.get_result(result.id),
        await contract.backend.aget_result(result.id),
    ):
        assert found == result
        assert found.return_value == {"args": ["a"], "kwargs": {"word": "b"}}


async def test_is_found_as_soon_as_it_is_enqueued(contract: Contract) -> None:
    task = contract.of(tasks.echo)
    result = await task.aenqueue()
    assert (await task.aget_result(result.id)).id == result.id
    await finished(result)


async def test_tells_the_options_that_the_task_was_enqueued_with(contract: Contract) -> None:
    task = contract.of(tasks.echo, priority=9, max_attempts=2, timeout=33)
    result = await finished(await task.aenqueue())
    assert contract.backend.get_result(result.id).task == task


async def test_an_unknown_id_is_told(contract: Contract) -> None:
    task = contract.of(tasks.echo)
    with pytest.raises(TaskResultDoesNotExist):
        task.get_result("unknown")
    with pytest.raises(TaskResultDoesNotExist):
        await task.aget_result("unknown")
    with pytest.raises(TaskResultDoesNotExist):
        contract.backend.get_result("unknown")
    with pytest.raises(TaskResultDoesNotExist):
        await contract.backend.aget_result("unknown")
    with pytest.raises(TaskResultDoesNotExist):
        contract.backend.cancel("unknown")
    with pytest.raises(TaskResultDoesNotExist):
        await contract.backend.acancel("unknown")


@pytest.mark.parametrize("garbage", ["", " ", "é", "a\n", "x" * 300, None, 7, object], ids=plain)
async def test_what_is_no_id_is_as_unknown(contract: Contract, garbage: Any) -> None:
    with pytest.raises(TaskResultDoesNotExist):
        contract.backend.get_result(garbage)
    with pytest.raises(TaskResultDoesNotExist):
        await contract.backend.aget_result(garbage)
    with pytest.raises(TaskResultDoesNotExist):
        await contract.backend.acancel(garbage)


async def test_reading_often_does_not_connect_each_time(
    contract: Contract, broker_url: str
) -> None:
    reads = 60  # more than the default executor has threads on any machine
    with redis.Redis.from_url(broker_url) as client:
        before = client.info("stats")["total_connections_received"]
        for _ in range(reads):
            with pytest.raises(TaskResultDoesNotExist):
                await contract.backend.aget_result("unknown")
        assert client.info("stats")["total_connections_received"] - before < reads


async def test_another_tasks_id_is_told(contract: Contract) -> None:
    result = await contract.run(tasks.echo)
    other = contract.of(tasks.echo_sync)
    with pytest.raises(TaskResultMismatch):
        other.get_result(result.id)
    with pytest.raises(TaskResultMismatch):
        await other.aget_result(result.id)


async def test_there_is_no_return_value_before_the_end(contract: Contract) -> None:
    result = await contract.of(tasks.echo).aenqueue()
    with pytest.raises(ValueError, match="has not finished"):
        _ = result.return_value
    await finished(result)


async def test_there_is_no_return_value_after_a_failure(contract: Contract) -> None:
    result = await contract.run(tasks.fail, "bad meat")
    with pytest.raises(ValueError, match="Task failed"):
        _ = result.return_value


@pytest.mark.parametrize("task", [tasks.echo, tasks.echo_sync], ids=["async", "sync"])
async def test_values_are_what_json_makes_of_them(contract: Contract, task: Any) -> None:
    result = await contract.run(
        task, (1, (2,)), None, True, word="Räucherfleisch 🍖", deep={"a": [{}]}
    )
    assert result.args == [[1, [2]], None, True]
    assert result.kwargs == {"word": "Räucherfleisch 🍖", "deep": {"a": [{}]}}
    assert result.return_value == {"args": result.args, "kwargs": result.kwargs}


@pytest.mark.parametrize("value", [None, False, 0, "", [], {}, 1.5, [None]], ids=repr)
async def test_empty_values_are_returned_as_they_are(contract: Contract, value: Any) -> None:
    result = await contract.run(tasks.plain, value)
    assert result.return_value == value
    assert type(result.return_value) is type(value)


@pytest.mark.parametrize("value", [{"__type__": "unknown", "__value__": 1}, {1: "a"}], ids=str)
async def test_a_task_sees_the_arguments_that_its_result_tells(
    contract: Contract, value: Any
) -> None:
    """Serialisers give some keys a meaning of their own, or turn them into text."""
    result = await contract.run(tasks.plain, value)
    assert [result.return_value] == contract.backend.get_result(result.id).args


@pytest.mark.parametrize("task", [tasks.plain, tasks.plain_sync], ids=["async", "sync"])
async def test_keys_that_are_no_text_become_text(contract: Contract, task: Any) -> None:
    result = await contract.run(task, {1: "a", None: {2.5: True}})
    assert result.args == [{"1": "a", "null": {"2.5": True}}]
    assert result.return_value == {"1": "a", "null": {"2.5": True}}
