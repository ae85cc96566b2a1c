"""Durable tasks: a row in the outbox from the beginning to the end, on either backend."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from celery import Celery
from django.db import transaction
from django.tasks import TaskResultStatus
from django.utils import timezone

from hybrid_tasks.celery.message import HEADER
from hybrid_tasks.exceptions import TaskCancelled
from hybrid_tasks.models import OutboxTask
from hybrid_tasks.outbox import table
from hybrid_tasks.results import states
from hybrid_tasks.results.task_result import TaskResult
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.contract.conftest import AHEAD, Contract, behind_brokers
from tests.hybrid_tasks.contract.waiting import finished, refreshed_until
from tests.hybrid_tasks.threads import in_thread
from tests.processes import PATIENCE

State = OutboxTask.State

pytestmark = pytest.mark.parametrize("outbox_kind", ["sqlite", "mariadb"], indirect=True)


def rows() -> dict[str, str]:
    return dict(table.rows().values_list("pk", "state"))


async def until_rows(wanted: dict[str, str]) -> None:
    """Wait for rows: a worker removes one after it has told of the task's end."""
    async with asyncio.timeout(PATIENCE):
        while await in_thread(rows) != wanted:  # noqa: ASYNC110 - another process writes them
            await asyncio.sleep(0.05)


async def enqueue(contract: Contract, task: Any, *args: Any, **options: Any) -> TaskResult:
    durable = contract.of(task, durable=True, **options)
    result: TaskResult = await durable.aenqueue(*args)
    return result


async def test_a_success_leaves_no_row(contract: Contract) -> None:
    result = await enqueue(contract, tasks.echo, "a")
    assert (await finished(result)).return_value == {"args": ["a"], "kwargs": {}}
    assert result.attempts == 1
    await until_rows({})


@pytest.mark.parametrize("task", [tasks.fail, tasks.fail_sync, tasks.leave, tasks.leave_sync])
async def test_a_failure_leaves_a_dead_letter(contract: Contract, task: Any) -> None:
    arguments = ["bad meat"] if task in (tasks.fail, tasks.fail_sync) else []
    result = await finished(await enqueue(contract, task, *arguments))
    assert (result.status, result.attempts) == (TaskResultStatus.FAILED, 1)
    await until_rows({result.id: State.DEAD})
    letter = await in_thread(table.rows().get)
    assert [path for path, _ in letter.errors] == [result.errors[0].exception_class_path]
    assert letter.attempts == 1


@pytest.mark.usefixtures("relaying")
@pytest.mark.parametrize("task", [tasks.succeed_at, tasks.succeed_at_sync], ids=["async", "sync"])
async def test_is_tried_until_it_succeeds(contract: Contract, task: Any) -> None:
    result = await finished(await enqueue(contract, task, 3))
    assert (result.status, result.return_value) == (TaskResultStatus.SUCCESSFUL, 3)
    assert result.attempts == len(result.worker_ids) == 3
    assert [error.exception_class for error in result.errors] == [ValueError, ValueError]
    await until_rows({})


@pytest.mark.usefixtures("relaying")
async def test_fails_when_no_attempt_is_left(contract: Contract) -> None:
    result = await finished(await enqueue(contract, tasks.succeed_at, 4))
    assert (result.status, result.attempts, len(result.errors)) == (TaskResultStatus.FAILED, 3, 3)
    await until_rows({result.id: State.DEAD})


async def test_a_backoff_of_none_gives_up(contract: Contract) -> None:
    result = await finished(await enqueue(contract, tasks.give_up))
    assert (result.status, result.attempts) == (TaskResultStatus.FAILED, 1)
    await until_rows({result.id: State.DEAD})


@pytest.mark.usefixtures("relaying")
@pytest.mark.parametrize("task", [tasks.hang_at_first, tasks.hang_at_first_sync])
async def test_each_attempt_has_its_timeout(contract: Contract, task: Any) -> None:
    result = await finished(await enqueue(contract, task))
    assert (result.status, result.return_value) == (TaskResultStatus.SUCCESSFUL, 2)
    assert [error.exception_class for error in result.errors] == [TimeoutError]
    await until_rows({})


async def test_what_runs_can_be_cancelled(contract: Contract) -> None:
    result = await enqueue(contract, tasks.hang, max_attempts=3, backoff=tasks.at_once)
    await contract.ledger.until(result.id, "ran")
    assert await contract.backend.acancel(result.id) is True
    await finished(result)
    assert result.errors[-1].exception_class is TaskCancelled
    await until_rows({})


@pytest.mark.usefixtures("near")
async def test_what_waits_can_be_cancelled(contract: Contract) -> None:
    due = timezone.now() + AHEAD
    result = await enqueue(contract, tasks.begin, run_after=due)
    later = await enqueue(contract, tasks.begin, run_after=due + timedelta(seconds=0.5))
    assert await contract.backend.acancel(result.id) is True
    await finished(later)
    assert result.id not in await in_thread(rows)
    await finished(result)
    assert (result.errors[-1].exception_class, result.attempts) == (TaskCancelled, 0)
    assert "ran" not in contract.ledger.events(result.id)
    await until_rows({})


async def test_what_waits_for_its_next_attempt_can_be_cancelled(contract: Contract) -> None:
    result = await enqueue(contract, tasks.fail_slowly)
    await refreshed_until(result, lambda it: it.errors, "the first attempt fails")
    assert await contract.backend.acancel(result.id) is True
    await finished(result)
    assert result.errors[-1].exception_class is TaskCancelled
    await until_rows({})


async def test_a_commit_sends_and_a_rollback_does_not(contract: Contract) -> None:
    def enqueue_both() -> tuple[Any, Any]:
        task = contract.of(tasks.begin, durable=True)
        with transaction.atomic(table.alias()):
            kept = task.enqueue()
        with transaction.atomic(table.alias()):
            regretted = task.enqueue()
            transaction.set_rollback(True, table.alias())
        return kept, regretted

    kept, regretted = await in_thread(enqueue_both)
    assert (await finished(kept)).status == TaskResultStatus.SUCCESSFUL
    await finished(await enqueue(contract, tasks.begin))
    assert contract.ledger.events(regretted.id) == []
    await until_rows({})


@behind_brokers
class TestMessages:
    """What a broker, and those who send by name, do."""

    async def test_a_message_that_comes_twice_runs_once(
        self, contract: Contract, app: Celery
    ) -> None:
        """Also at the same time: whoever has the row runs it."""
        gated = await enqueue(contract, tasks.hang, max_attempts=2)
        await contract.ledger.until(gated.id, "ran")
        app.send_task(
            gated.task.module_path, task_id=gated.id, headers={HEADER: states.encode(gated)}
        )
        assert contract.worker is not None
        contract.worker.wait_for(f"Task id={gated.id} is not free: not run now")
        await contract.backend.acancel(gated.id)
        await finished(gated)
        assert contract.ledger.events(gated.id).count("ran") == 1

    async def test_a_message_after_the_end_is_not_run(
        self, contract: Contract, app: Celery
    ) -> None:
        ready = await enqueue(contract, tasks.begin, max_attempts=2)
        encoded = states.encode(ready)
        await finished(ready)
        await until_rows({})
        app.send_task(ready.task.module_path, task_id=ready.id, headers={HEADER: encoded})
        assert contract.worker is not None
        contract.worker.wait_for(f"Task id={ready.id} is not free: not run now")
        assert contract.ledger.events(ready.id).count("ran") == 1

    async def test_what_is_sent_by_name_gets_a_row(self, contract: Contract, app: Celery) -> None:
        """As beat sends it: without our header."""
        sent = app.send_task(tasks.scheduled_durably.module_path, ["bad meat"])
        await until_rows({sent.id: State.DEAD})
        found = await sync_to_async(contract.backend.get_result)(sent.id)
        assert (found.status, found.attempts) == (TaskResultStatus.FAILED, 1)
        assert (await in_thread(table.rows().get)).backend == "celery"
