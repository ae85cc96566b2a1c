"""Django's signals and what is logged: each once for each step of a task."""

from django.tasks import TaskResultStatus
from django.tasks.signals import task_enqueued

from hybrid_tasks.results.task_result import TaskResult
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.contract.conftest import Contract
from tests.hybrid_tasks.contract.waiting import until


async def test_the_enqueuer_hears_of_it(contract: Contract) -> None:
    heard: list[tuple[type, str, str]] = []

    def hear(sender: type, task_result: TaskResult, **_kwargs: object) -> None:
        heard.append((sender, task_result.id, task_result.status))

    task_enqueued.connect(hear)
    try:
        result = await contract.run(tasks.echo, "a")
    finally:
        task_enqueued.disconnect(hear)
    assert heard == [(type(contract.backend), result.id, TaskResultStatus.READY)]


async def test_a_receiver_that_raises_stops_nothing(contract: Contract) -> None:
    def raise_it(**_kwargs: object) -> None:
        raise RuntimeError("a broken receiver")

    task_enqueued.connect(raise_it)
    try:
        result = await contract.run(tasks.plain, "a")
    finally:
        task_enqueued.disconnect(raise_it)
    assert result.return_value == "a"


async def test_start_and_end_of_a_success_are_signalled(contract: Contract) -> None:
    result = await contract.run(tasks.echo)
    await contract.ledger.until(result.id, "finished")
    told = [(line["event"], line["status"]) for line in contract.ledger.of(result.id)]
    assert told == [("started", "RUNNING"), ("finished", "SUCCESSFUL")]


async def test_start_and_end_of_a_failure_are_signalled(contract: Contract) -> None:
    result = await contract.run(tasks.fail, "bad meat")
    await contract.ledger.until(result.id, "finished")
    told = [(line["event"], line["status"]) for line in contract.ledger.of(result.id)]
    assert told == [("started", "RUNNING"), ("finished", "FAILED")]


async def test_each_attempt_is_signalled_and_one_end(contract: Contract) -> None:
    result = await contract.run(tasks.succeed_at, 2)
    await contract.ledger.until(result.id, "finished")
    assert contract.ledger.events(result.id) == ["started", "backoff", "started", "finished"]


async def test_an_exception_is_logged_once_with_the_tasks_id(contract: Contract) -> None:
    result = await contract.run(tasks.fail, "very bad meat")
    await contract.run(tasks.echo)  # what the worker logs of the failure comes before this
    await until(lambda: "ValueError: very bad meat" in contract.log(), "the exception is logged")
    log = contract.log()
    assert log.count("ValueError: very bad meat") == 1
    failures = [line for line in log.splitlines() if "ERROR" in line and result.id in line]
    assert len(failures) == 1
    assert tasks.fail.module_path in failures[0]
