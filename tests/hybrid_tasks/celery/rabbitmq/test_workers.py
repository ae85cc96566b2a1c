"""RabbitMQ's deliveries to workers: those that die, take too long, or choose what is first."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery
from django.tasks import TaskResultStatus

from hybrid_tasks.exceptions import TaskInterrupted
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.celery import deadly
from tests.hybrid_tasks.celery.rabbitmq.conftest import ended, ran, start_worker, url_of
from tests.hybrid_tasks.outbox.by_celery import enqueue
from tests.processes import wait_until
from tests.rabbitmq import RabbitMQ, Wire


def test_a_worker_that_is_killed_whole_leaves_nothing_running(
    sending: Celery, env: dict[str, str]
) -> None:
    """P1: the broker delivers again what was not acknowledged; one attempt is not repeated."""
    with start_worker(env, "first"):
        again = enqueue(deadly.hang_at_first, max_attempts=2)
        once = enqueue(deadly.hang_at_first)
        ledger = Path(env["LEDGER"])
        wait_until(lambda: ledger.read_text().count("ran") == 2, "both run")
    with start_worker(env, "second"):
        wait_until(lambda: ended(again) and ended(once), "both have ended")
    assert (again.status, again.return_value) == (TaskResultStatus.SUCCESSFUL, 2)
    assert (once.status, once.attempts) == (TaskResultStatus.FAILED, 1)
    for result in (again, once):
        assert [error.exception_class for error in result.errors] == [TaskInterrupted]
    assert ledger.read_text().count("ran") == 3


def test_what_comes_again_while_it_runs_is_left_alone(
    sending: Celery, env: dict[str, str], wire: Wire, tmp_path: Path
) -> None:
    """The server closes a connection, such as after `consumer_timeout`: the task goes on."""
    gate, ledger = tmp_path / "gate", Path(env["LEDGER"])
    with start_worker({**env, "BROKER_URL": url_of(wire.port)}, "first") as worker:
        result = enqueue(deadly.wait_for_gate, str(gate))
        wait_until(lambda: "ran" in ledger.read_text(), "it runs")
        wire.cut()
        worker.wait_for(f"{result.id} path={deadly.wait_for_gate.module_path} came twice")
        result.refresh()
        assert result.status == TaskResultStatus.RUNNING
        gate.touch()
        wait_until(lambda: ended(result), "it has ended")
    assert (result.return_value, result.attempts) == ("done", 1)


@pytest.fixture
def impatient(rabbitmq: RabbitMQ) -> Iterator[None]:
    """A server that waits two seconds for an acknowledgement, and not half an hour."""

    def wait(seconds: float, looks_after: float) -> None:
        for name, value in ("consumer_timeout", seconds), ("channel_tick_interval", looks_after):
            rabbitmq.control("eval", f"application:set_env(rabbit, {name}, {int(value * 1000)}).")

    wait(2, 0.5)
    yield
    wait(1800, 60)


@pytest.mark.usefixtures("impatient")
def test_what_takes_longer_than_the_server_waits_runs_once(
    sending: Celery, env: dict[str, str], tmp_path: Path
) -> None:
    """The server ends the channel, and delivers the message again."""
    gate = tmp_path / "gate"
    with start_worker(env, "first") as worker:
        result = enqueue(deadly.wait_for_gate, str(gate))
        worker.wait_for(f"{result.id} path={deadly.wait_for_gate.module_path} came twice")
        assert "PRECONDITION_FAILED - delivery acknowledgement" in worker.output()
        gate.touch()
        wait_until(lambda: ended(result), "it has ended")
        after = enqueue(tasks.begin)
        wait_until(lambda: ended(after), "the worker works on")
    assert (result.return_value, result.attempts) == ("done", 1)
    assert ran(env) == [result.id, after.id]


@pytest.mark.parametrize("kind", ["rabbitmq"], ids=["classic"])
def test_a_later_task_of_higher_priority_starts_first(sending: Celery, env: dict[str, str]) -> None:
    """Quorum queues have none before RabbitMQ 4, and two from then on."""
    by_priority = {priority: enqueue(tasks.begin, priority=priority) for priority in (-100, 0, 50)}
    by_priority[100] = enqueue(tasks.begin, priority=100)
    with start_worker(env, "first", "--concurrency", "1"):
        wait_until(lambda: all(map(ended, by_priority.values())), "all have ended")
    assert ran(env) == [by_priority[priority].id for priority in (100, 50, 0, -100)]


# --- The delivery limit --------------------------------------------------------------------------


@pytest.fixture
def limited(rabbitmq: RabbitMQ) -> Iterator[None]:
    """A message is delivered twice, and then taken out of the queue."""
    policy = ["^default$", '{"delivery-limit": 1}', "--apply-to", "queues"]
    rabbitmq.control("set_policy", "limit", *policy)
    yield
    rabbitmq.control("clear_policy", "limit")


@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize("kind", ["quorum"])
def test_what_meets_the_delivery_limit_ends_by_its_own_policy(
    sending: Celery, env: dict[str, str], rabbitmq: RabbitMQ
) -> None:
    """It comes from the queue for dead letters as if it were new: it was dropped as a duplicate."""
    result = enqueue(deadly.kill_worker, max_attempts=3)
    for number in range(3):
        with start_worker(env, f"killed-{number}") as worker:
            wait_until(lambda: worker.popen.poll() is not None or ended(result), "it is killed")
    assert rabbitmq.queued("default.again") == 1
    with start_worker(env, "last") as worker:
        wait_until(lambda: ended(result), "it has ended")
        worker.stop()  # acknowledged, too
    assert (result.status, result.attempts) == (TaskResultStatus.FAILED, 3)
    assert [error.exception_class for error in result.errors] == [TaskInterrupted] * 3
    assert ran(env) == [result.id] * 3
    assert rabbitmq.queued("default.again") == 0
