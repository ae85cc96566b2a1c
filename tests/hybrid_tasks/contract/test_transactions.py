"""Sync code that enqueues in a transaction."""

from functools import partial
from typing import Any

import pytest
from django.db import transaction
from django.tasks import TaskResultStatus
from django.tasks.exceptions import TaskResultDoesNotExist

from hybrid_tasks.results.task_result import TaskResult
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.contract.conftest import Contract
from tests.hybrid_tasks.contract.waiting import finished
from tests.hybrid_tasks.threads import in_thread


def enqueue_in_transaction(task: Any, *, regret: bool) -> TaskResult:
    """Enqueue `task` in a transaction that is kept or not."""
    with transaction.atomic():
        result: TaskResult = task.enqueue()
        with pytest.raises(TaskResultDoesNotExist):
            task.get_result(result.id)
        transaction.set_rollback(regret)
    return result


async def test_a_task_is_sent_on_commit(contract: Contract) -> None:
    task = contract.of(tasks.begin)
    result = await in_thread(partial(enqueue_in_transaction, task, regret=False))
    await finished(result)
    assert result.status == TaskResultStatus.SUCCESSFUL
    await contract.ledger.until(result.id, "finished")  # told after the result was stored
    assert contract.ledger.events(result.id) == ["started", "ran", "finished"]


async def test_a_task_is_not_sent_after_a_rollback(contract: Contract) -> None:
    task = contract.of(tasks.begin)
    result = await in_thread(partial(enqueue_in_transaction, task, regret=True))
    # What is enqueued after it has run when it would have, or the next one has.
    for _ in range(3):
        await contract.run(tasks.begin)
    assert contract.ledger.events(result.id) == []
    with pytest.raises(TaskResultDoesNotExist):
        await result.arefresh()


async def test_a_task_is_sent_when_the_outermost_transaction_ends(contract: Contract) -> None:
    def enqueue() -> TaskResult:
        with transaction.atomic():
            with transaction.atomic():
                result: TaskResult = task.enqueue()
            with pytest.raises(TaskResultDoesNotExist):
                task.get_result(result.id)
        return result

    task = contract.of(tasks.begin)
    assert (await finished(await in_thread(enqueue))).attempts == 1
