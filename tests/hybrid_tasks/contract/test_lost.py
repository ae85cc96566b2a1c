"""Tasks whose processes die under them, in a real worker: none is left RUNNING or READY."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from django.tasks import TaskResultStatus

from hybrid_tasks.exceptions import TaskCancelled, TaskInterrupted
from hybrid_tasks.execution.threads import then_close
from hybrid_tasks.models import OutboxTask
from hybrid_tasks.outbox import table
from hybrid_tasks.results.task_result import TaskResult
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.celery import deadly, newer_tasks
from tests.hybrid_tasks.contract.conftest import Contract, behind_brokers, running_worker
from tests.hybrid_tasks.contract.waiting import finished
from tests.hybrid_tasks.threads import in_thread
from tests.processes import PATIENCE, Process

State = OutboxTask.State


pytestmark = behind_brokers  # only workers have processes for their tasks


@pytest.fixture(scope="module")
def worker(
    tmp_path_factory: pytest.TempPathFactory, worker_env: dict[str, str]
) -> Iterator[Process]:
    """A worker of their own: others look for lost processes in the log of theirs."""
    named = ["--queues", "deadly", "--hostname", "deadly@%h"]
    with running_worker(tmp_path_factory.mktemp("deadly"), worker_env, *named) as process:
        yield process


def of(contract: Contract, task: Any, **options: Any) -> Any:
    """Return a task for that worker."""
    return contract.of(task, **{"queue_name": "deadly", **options})


async def still_works(contract: Contract) -> bool:
    result = await finished(await of(contract, tasks.plain).aenqueue(1))
    return result.return_value == 1


def classes(result: TaskResult) -> list[type[BaseException]]:
    return [error.exception_class for error in result.errors]


def rows() -> dict[str, str]:
    return then_close(lambda: dict(table.rows().values_list("pk", "state")))


# --- Killed --------------------------------------------------------------------------------------


async def test_a_task_that_was_sent_with_attempts_gets_them(contract: Contract) -> None:
    """C5: defined with 1, sent with 3, its process killed: RUNNING for ever."""
    task = of(contract, deadly.die_before, max_attempts=3, backoff=tasks.at_once)
    result = await finished(await task.aenqueue(3))
    assert (result.status, result.return_value) == (TaskResultStatus.SUCCESSFUL, 3)
    assert classes(result) == [TaskInterrupted, TaskInterrupted]
    assert "signal 9 (SIGKILL)" in result.errors[0].traceback


async def test_a_task_with_one_attempt_fails_and_is_announced(contract: Contract) -> None:
    """P1: acknowledged early, it was RUNNING for ever."""
    result = await finished(await of(contract, deadly.die_before).aenqueue(2))
    assert (result.status, result.attempts) == (TaskResultStatus.FAILED, 1)
    assert classes(result) == [TaskInterrupted]
    await contract.ledger.until(result.id, "finished")
    assert contract.ledger.events(result.id) == ["started", "ran", "finished"]


async def test_a_task_that_kills_each_of_its_processes_fails(contract: Contract) -> None:
    """P1: after the third killed attempt of three it was READY for ever."""
    task = of(contract, deadly.die_before, max_attempts=3, backoff=tasks.at_once)
    result = await finished(await task.aenqueue(9))
    assert (result.status, result.attempts) == (TaskResultStatus.FAILED, 3)
    assert classes(result) == [TaskInterrupted] * 3
    await contract.ledger.until(result.id, "finished")
    assert contract.ledger.events(result.id).count("ran") == 3


async def test_the_backoff_decides_when_it_is_tried_again(contract: Contract) -> None:
    """P7: Celery waited for 180 s, whatever the backoff said."""
    task = of(contract, deadly.die_before, max_attempts=2, backoff=tasks.at_once)
    result = await finished(await task.aenqueue(2))
    (told,) = [line for line in contract.ledger.of(result.id) if line["event"] == "backoff"]
    assert told["exception"].startswith("TaskInterrupted(")
    assert told["attempts"] == 1
    began = [result.started_at, result.last_attempted_at]
    assert None not in began
    assert (began[1] - began[0]).total_seconds() < 100  # type: ignore[operator]


async def test_a_broken_backoff_fails_it(contract: Contract) -> None:
    """P7: it is called in the worker's main process, which must not mind."""
    result = await finished(await of(contract, deadly.die_with_broken_backoff).aenqueue())
    assert (result.status, classes(result)) == (TaskResultStatus.FAILED, [ArithmeticError])
    assert await still_works(contract)


@pytest.mark.usefixtures("relaying")
async def test_a_durable_task_need_not_wait_for_the_end_of_its_lease(contract: Contract) -> None:
    """P1: the worker's main process knows at once."""
    task = of(contract, deadly.die_before, max_attempts=2, backoff=tasks.at_once, durable=True)
    result = await finished(await task.aenqueue(2))
    assert (result.status, result.return_value) == (TaskResultStatus.SUCCESSFUL, 2)
    assert contract.ledger.events(result.id).count("backoff") == 1, "by its policy"


async def test_a_durable_task_without_attempts_is_a_dead_letter(contract: Contract) -> None:
    task = of(contract, deadly.die_before, durable=True)
    result = await finished(await task.aenqueue(2))
    assert (result.status, classes(result)) == (TaskResultStatus.FAILED, [TaskInterrupted])
    await until_row(result, State.DEAD)


async def until_row(result: TaskResult, state: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while await in_thread(rows) != {result.id: state}:  # noqa: ASYNC110 - another's
            await asyncio.sleep(0.05)


# --- Revoked by others ---------------------------------------------------------------------------


async def test_what_flower_terminates_is_cancelled(contract: Contract, app: Celery) -> None:
    """P1: a revoke that does not come from `cancel` left it READY for ever."""
    task = of(contract, tasks.hang, max_attempts=3, backoff=tasks.at_once)
    result = await task.aenqueue()
    await contract.ledger.until(result.id, "ran")
    app.control.revoke(result.id, terminate=True)
    await finished(result)
    assert (result.status, classes(result)[-1]) == (TaskResultStatus.FAILED, TaskCancelled)
    await contract.ledger.until(result.id, "finished")
    assert contract.ledger.events(result.id).count("finished") == 1
    assert contract.ledger.events(result.id).count("ran") == 1


# --- What would end the worker -------------------------------------------------------------------


@pytest.mark.parametrize("task", [deadly.raise_odd, deadly.raise_odd_sync], ids=["async", "sync"])
@pytest.mark.parametrize("name", deadly.ODD)
async def test_what_a_task_raises_ends_its_attempt_only(
    contract: Contract, task: Any, name: str
) -> None:
    """P3: a MemoryError ended the whole worker; a KeyboardInterrupt left RUNNING."""
    result = await finished(await of(contract, task).aenqueue(name))
    assert (result.status, result.attempts) == (TaskResultStatus.FAILED, 1)
    assert classes(result) == [type(deadly.ODD[name])]
    assert contract.worker is not None
    assert contract.worker.popen.poll() is None
    assert await still_works(contract)


# --- Out of time ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def limited_worker(
    tmp_path_factory: pytest.TempPathFactory, worker_env: dict[str, str]
) -> Iterator[Process]:
    """A worker with limits of its own to the time of each task."""
    limits = ["--soft-time-limit", "2", "--time-limit", "5"]
    queues = ["--queues", "limited", "--hostname", "limited@%h"]
    directory = tmp_path_factory.mktemp("limited")
    with running_worker(directory, worker_env, *limits, *queues) as process:
        yield process


@pytest.mark.usefixtures("limited_worker")
class TestLimits:
    """Tasks without a timeout, in a worker that has one."""

    @pytest.mark.parametrize(
        "task", [deadly.sleep_at_first, deadly.sleep_at_first_sync], ids=["async", "sync"]
    )
    async def test_the_soft_limit_counts_as_a_timeout(self, contract: Contract, task: Any) -> None:
        """C13: TypeError in a message's format; CancelledError after one attempt of three."""
        result = await finished(await of(contract, task, queue_name="limited").aenqueue())
        assert (result.status, result.return_value) == (TaskResultStatus.SUCCESSFUL, 3)
        assert classes(result) == [TimeoutError, TimeoutError]
        assert "took longer than its worker's time limit" in result.errors[0].traceback

    async def test_without_attempts_left_it_fails(self, contract: Contract) -> None:
        task = of(contract, deadly.sleep_at_first, queue_name="limited", max_attempts=1)
        result = await finished(await task.aenqueue())
        assert (result.status, classes(result)) == (TaskResultStatus.FAILED, [TimeoutError])

    async def test_the_hard_limit_counts_as_a_timeout(self, contract: Contract) -> None:
        """C13 and P1: with attempts left RUNNING for ever, and without."""
        task = of(contract, deadly.resist, queue_name="limited", backoff=tasks.at_once)
        once, twice = await task.aenqueue(), await task.using(max_attempts=2).aenqueue()
        for result, attempts in ((once, 1), (twice, 2)):
            await finished(result)
            assert (result.status, result.attempts) == (TaskResultStatus.FAILED, attempts)
            assert classes(result) == [TimeoutError] * attempts
            await contract.ledger.until(result.id, "finished")
            assert contract.ledger.events(result.id).count("ran") == attempts
            assert contract.ledger.events(result.id).count("finished") == 1

    async def test_a_durable_task_that_is_killed_is_a_dead_letter(self, contract: Contract) -> None:
        task = of(contract, deadly.resist, queue_name="limited", durable=True)
        result = await finished(await task.aenqueue())
        assert classes(result) == [TimeoutError]
        await until_row(result, State.DEAD)


# --- Unknown -------------------------------------------------------------------------------------


async def test_what_a_worker_does_not_know_is_kept_for_one_that_does(contract: Contract) -> None:
    """P5 and C19: during a deploy it was READY for ever, and lost."""
    result = await of(contract, newer_tasks.newer).aenqueue("ribs")
    assert contract.worker is not None
    contract.worker.wait_for(f"Task id={result.id} path={newer_tasks.newer.module_path} cannot be")
    await until_row(result, State.WAITING)
    kept = await in_thread(table.rows().get)
    assert kept.content["args"] == ["ribs"]
    await result.arefresh()
    assert result.status == TaskResultStatus.READY
    assert await still_works(contract)
