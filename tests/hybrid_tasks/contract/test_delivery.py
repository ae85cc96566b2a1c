"""Messages that a broker delivers more than once, and those that others send by name."""

import pytest
from celery import Celery
from django.tasks import TaskResultStatus
from django.tasks.exceptions import TaskResultDoesNotExist

from hybrid_tasks.celery.message import HEADER
from hybrid_tasks.results import states
from hybrid_tasks.results.task_result import TaskResult
from hybrid_tasks.tasks import Task
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.contract.conftest import Contract, behind_brokers
from tests.hybrid_tasks.contract.waiting import refreshed_until, until

pytestmark = behind_brokers  # only they have messages


@pytest.mark.parametrize("task", [tasks.begin, tasks.succeed_at], ids=["once", "with attempts"])
async def test_what_has_ended_is_not_run_again(contract: Contract, app: Celery, task: Task) -> None:
    ready = await contract.of(task).aenqueue(*([1] if task is tasks.succeed_at else []))
    ended = await contract.of(task).aget_result(ready.id)
    await refreshed_until(ended, lambda it: it.is_finished, "the task ends")
    app.send_task(task.module_path, task_id=ready.id, headers={HEADER: states.encode(ready)})
    assert contract.worker is not None
    contract.worker.wait_for(f"Task id={ready.id} path={task.module_path} had ended: not run again")
    await contract.run(tasks.echo)
    await ended.arefresh()
    assert (ended.status, ended.attempts) == (TaskResultStatus.SUCCESSFUL, 1)
    assert contract.ledger.events(ready.id).count("started") == 1


async def test_what_is_sent_by_name_runs(contract: Contract, app: Celery) -> None:
    """As beat sends it: without our header."""
    sent = app.send_task("tests.hybrid_tasks.tasks.scheduled", ["ribs"], {"sauce": "none"})

    def result() -> TaskResult | None:
        try:
            return contract.backend.get_result(sent.id)
        except TaskResultDoesNotExist:
            return None

    await until(lambda: (it := result()) and it.is_finished, "the task ends")
    found = contract.backend.get_result(sent.id)
    assert found.return_value == {"meat": "ribs", "sauce": "none"}
    assert found.backend == "celery"
