"""Durable tasks on the event loop of this process."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import transaction
from django.tasks import TaskResultStatus
from django.utils import timezone
from pytest_django import Settings

from hybrid_tasks.backends.eventloop import serve
from hybrid_tasks.exceptions import TaskCancelled
from hybrid_tasks.outbox import table
from hybrid_tasks.outbox.writer import writer
from hybrid_tasks.relay import interventions
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.contract.waiting import finished, refreshed_until, until
from tests.hybrid_tasks.outbox import durable_tasks
from tests.hybrid_tasks.outbox.durable_tasks import gates, runs
from tests.hybrid_tasks.outbox.on_loop import QUICK, cancel, enqueue, running, settled, use
from tests.hybrid_tasks.outbox.rows import State, about, expire, row, row_states
from tests.hybrid_tasks.threads import in_thread

pytestmark = pytest.mark.usefixtures("database", "fresh_loop")


async def test_the_row_is_there_until_the_task_has_succeeded() -> None:
    async with running() as result:
        assert await in_thread(row_states) == {result.id: State.CLAIMED}
        assert (await in_thread(row, result.id)).claimed_by == writer().holder
        assert (await in_thread(row, result.id)).attempts == 1
        gates["gate"].set()
        assert (await finished(result)).return_value == "gate"
        assert await settled() == {}
    assert runs == [result.id]


async def test_sync_code_finds_its_row_committed() -> None:
    def enqueue() -> tuple[Any, dict[str, str]]:
        return durable_tasks.wait_for.enqueue("gate"), row_states()

    async with serve():
        result, there = await in_thread(enqueue)
        assert there == {result.id: State.CLAIMED}
        gates["gate"].set()
        assert (await finished(result)).status == TaskResultStatus.SUCCESSFUL
        assert await settled() == {}


def enqueue_in_transaction(*, regret: bool) -> Any:
    with transaction.atomic(table.alias()):
        result = durable_tasks.count.enqueue()
        assert row_states() == {result.id: State.CLAIMED}
        transaction.set_rollback(regret, table.alias())
    return result


async def test_a_row_is_committed_with_its_callers_transaction() -> None:
    async with serve():
        result = await in_thread(partial(enqueue_in_transaction, regret=False))
        assert (await finished(result)).status == TaskResultStatus.SUCCESSFUL
        assert await settled() == {}
    assert runs == [result.id]


async def test_a_rollback_takes_the_task_along() -> None:
    async with serve():
        await in_thread(partial(enqueue_in_transaction, regret=True))
        assert await settled() == {}
        later = await enqueue(durable_tasks.count)
        await finished(later)
    assert runs == [later.id]


async def test_an_ordinary_task_has_no_row() -> None:
    async with serve():
        result = await enqueue(tasks.hang)
        assert await settled() == {}
        assert await cancel(result)


async def test_a_failure_becomes_a_dead_letter(dead: list[dict[str, Any]]) -> None:
    async with serve():
        result = await finished(await enqueue(durable_tasks.fail_until, 9))
        assert (result.status, result.attempts) == (TaskResultStatus.FAILED, 3)
        assert await settled() == {result.id: State.DEAD}
        found = await in_thread(row, result.id)
        told = await until(lambda: dead, "the signal is sent")
    assert [path for path, _ in found.errors] == ["builtins.ValueError"] * 3
    assert "attempt 3" in found.errors[-1][1]
    assert found.attempts == 3
    assert [(one["task_id"], one["task_result"].status) for one in told] == [
        (result.id, TaskResultStatus.FAILED)
    ]
    assert told[0]["sender"] is table.model()


async def test_a_dead_letter_can_be_run_again(settings: Settings) -> None:
    use(settings, lease=QUICK)
    async with serve():
        result = await enqueue(durable_tasks.give_up)
        await finished(result)
        assert await settled() == {result.id: State.DEAD}
        await in_thread(interventions.revive, [result.id])
        await refreshed_until(result, lambda it: len(it.errors) == 2, "it has failed again")
        assert await settled() == {result.id: State.DEAD}


async def test_retries_keep_the_row_with_its_errors() -> None:
    async with serve():
        result = await enqueue(durable_tasks.fail_and_wait)
        await refreshed_until(result, lambda it: it.errors, "the first attempt fails")
        assert await settled() == {result.id: State.CLAIMED}
        found = await in_thread(row, result.id)
        assert (found.attempts, len(found.errors)) == (1, 1)
        assert await cancel(result)
        assert await settled() == {}


async def test_a_retry_that_succeeds_removes_the_row(dead: list[dict[str, Any]]) -> None:
    async with serve():
        result = await finished(await enqueue(durable_tasks.fail_until, 3))
        assert result.return_value == 3
        assert await settled() == {}
    assert dead == []


async def test_a_backoff_of_none_is_the_end(dead: list[dict[str, Any]]) -> None:
    async with serve():
        result = await finished(await enqueue(durable_tasks.give_up))
        assert await settled() == {result.id: State.DEAD}
        assert (await in_thread(row, result.id)).attempts == 1
        await until(lambda: dead, "the signal is sent")


async def test_what_is_cancelled_leaves_no_row(settings: Settings) -> None:
    use(settings, max_running=1)
    async with running() as result:
        waiting = await enqueue(durable_tasks.count)
        for one in (waiting, result):
            assert await cancel(one)
            await finished(one)
            assert one.errors[-1].exception_class is TaskCancelled
        assert await settled() == {}
    assert waiting.id not in runs


async def test_what_is_scheduled_can_be_cancelled() -> None:
    later = durable_tasks.count.using(run_after=timezone.now() + timedelta(hours=1))
    async with serve():
        result = await enqueue(later)
        assert await in_thread(row_states) == {result.id: State.WAITING}
        assert await in_thread(about, result.id, 3600)
        assert await cancel(result) is True
        assert await settled() == {}
        await finished(result)
        assert result.errors[-1].exception_class is TaskCancelled
        assert await cancel(result) is False


async def test_what_is_scheduled_runs_when_the_database_says_so(settings: Settings) -> None:
    """Though by this process's clock it is an hour early."""
    use(settings, lease=QUICK)
    later = durable_tasks.count.using(run_after=timezone.now() + timedelta(hours=1))
    async with serve():
        result = await enqueue(later)
        await in_thread(expire, result.id)
        assert (await finished(result)).attempts == 1
        assert await settled() == {}
    assert runs == [result.id]
