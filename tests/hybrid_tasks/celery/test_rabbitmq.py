"""RabbitMQ as the broker: what is accepted arrives, whatever becomes of the connection."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from django.db import connections
from django.tasks import TaskResultStatus
from kombu import Connection, Queue
from pytest_django import Settings

from hybrid_tasks.celery import publisher
from hybrid_tasks.celery.publisher import publisher_of
from hybrid_tasks.exceptions import MessageRefused, TaskInterrupted
from hybrid_tasks.results.states import decode
from hybrid_tasks.results.task_result import TaskResult
from project.settings import CACHES, next_redis_database
from tests.conftest import BIN
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.celery import applications, deadly
from tests.hybrid_tasks.celery.deliveries import backend
from tests.hybrid_tasks.outbox.by_celery import enqueue, settled, use
from tests.hybrid_tasks.outbox.rows import State
from tests.processes import PATIENCE, Process, wait_until
from tests.rabbitmq import Wire, running_rabbitmq

ACCEPTED = 300
LARGE = "x" * 150_000  # more than a frame holds


@pytest.fixture(scope="module")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with running_rabbitmq(tmp_path_factory.mktemp("rabbitmq")) as port:
        yield port


@pytest.fixture
def broker(rabbitmq: int) -> Iterator[Connection]:
    """A connection of the test's own to queues in which nothing is."""
    with Connection(url_of(rabbitmq)) as connection:
        yield connection
        for name in ("default", "odd"):
            channel = connection.channel()
            channel.queue_delete(name)
            channel.close()


@pytest.fixture
def wire(rabbitmq: int) -> Iterator[Wire]:
    wire = Wire(rabbitmq)
    yield wire
    wire.close()


@pytest.fixture
def sending(broker: Connection, wire: Wire, settings: Settings, outbox: str) -> Celery:
    """The application that sends over the wire."""
    use(settings, "there")
    options = {"app": f"{applications.__name__}.rabbit", "lease": 1000}
    ours: Any = {**settings.TASKS["celery"], "QUEUES": ["default", "odd"], "OPTIONS": options}
    settings.TASKS = {**settings.TASKS, "celery": ours}
    app = applications.rabbit
    app.conf.broker_url = url_of(wire.port)
    return app


def url_of(port: int) -> str:
    return f"amqp://guest:guest@127.0.0.1:{port}//"


def delivered(broker: Connection) -> list[TaskResult]:
    """Take all messages out of the default queue."""
    channel = broker.channel()
    found = []
    while (message := Queue("default")(channel).get(no_ack=True)) is not None:
        (text,), _, _ = message.payload
        found.append(decode(text))
    channel.close()
    return found


def test_a_connection_that_is_cut_loses_nothing_that_was_accepted(
    sending: Celery, broker: Connection, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C3: of 326 tasks that were accepted meanwhile, 85 were lost."""
    monkeypatch.setattr(publisher, "AWAY_SECONDS", 0.0)  # else most would go to the outbox
    done = threading.Event()

    def cut_often() -> None:
        while not done.wait(0.1):
            wire.cut()

    cutting = threading.Thread(target=cut_often)
    cutting.start()
    try:
        with ThreadPoolExecutor(8) as pool:
            accepted = set(pool.map(lambda _: enqueue(tasks.echo).id, range(ACCEPTED)))
    finally:
        done.set()
        cutting.join()
    rows = settled()
    arrived = {result.id for result in delivered(broker)}
    assert len(accepted) == ACCEPTED
    assert accepted <= arrived | rows.keys()


def test_large_arguments_arrive_and_so_does_what_comes_after(
    sending: Celery, broker: Connection
) -> None:
    """C3: the state was in a header, which must fit one frame: lost, with the next 21 tasks."""
    large = enqueue(tasks.echo, LARGE)
    small = [enqueue(tasks.echo) for _ in range(25)]
    arrived = {result.id: result for result in delivered(broker)}
    assert arrived.keys() == {large.id, *(result.id for result in small)}
    assert arrived[large.id].args == [LARGE]
    assert settled() == {}


def test_a_server_that_hangs_is_no_concern_of_the_caller(
    sending: Celery, broker: Connection, wire: Wire
) -> None:
    enqueue(tasks.echo)
    wire.hold()
    began = time.monotonic()
    held = [enqueue(tasks.echo) for _ in range(3)]
    assert time.monotonic() - began < PATIENCE / 4
    wire.release()
    assert settled() == dict.fromkeys([result.id for result in held], State.WAITING)
    wait_until(lambda: not publisher_of(sending).runtime.clock.monotonic() < away(sending), "")
    after = enqueue(tasks.echo)
    assert after.id in {result.id for result in delivered(broker)}


def away(app: Celery) -> float:
    return publisher_of(app)._away_until


def test_a_message_that_it_refuses_is_one_messages_trouble(
    sending: Celery, broker: Connection
) -> None:
    """C2: an error of the channel, such as a queue of another kind, is not the broker's end."""
    channel = broker.channel()
    channel.queue_declare("odd", arguments={"x-max-length": 5}, auto_delete=False, durable=True)
    before = enqueue(tasks.echo)
    with pytest.raises(MessageRefused, match="PRECONDITION_FAILED"):
        enqueue(tasks.echo, queue_name="odd")
    after = enqueue(tasks.echo)
    assert {result.id for result in delivered(broker)} == {before.id, after.id}
    assert settled() == {}


def test_a_queue_that_was_deleted_is_made_anew(sending: Celery, broker: Connection) -> None:
    """The server confirms what it drops because nobody would get it."""
    enqueue(tasks.echo)
    channel = broker.channel()
    channel.queue_delete("default")
    result = enqueue(tasks.echo)
    assert [found.id for found in delivered(broker)] == [result.id]


def test_the_broker_answers_or_does_not(sending: Celery, wire: Wire) -> None:
    assert backend().reachable() is True
    wire.hold()
    assert backend().reachable() is False


# --- Workers -------------------------------------------------------------------------------------


@pytest.fixture
def env(
    rabbitmq: int, broker_url: str, outbox: str, settings: Settings, tmp_path: Path
) -> dict[str, str]:
    """The environment of workers that share our cache."""
    cache = next_redis_database(broker_url)
    settings.CACHES = {
        "default": {**CACHES["default"], "LOCATION": cache, "OPTIONS": {"socket_timeout": PATIENCE}}
    }
    ledger = tmp_path / "ledger"
    ledger.touch()
    return {
        "DJANGO_SETTINGS_MODULE": "tests.hybrid_tasks.celery.rabbit_settings",
        "BROKER_URL": url_of(rabbitmq),
        "DATABASE_URL": f"sqlite:///{connections[outbox].settings_dict['NAME']}",
        "CACHE_URL": cache,
        "LOG_LEVEL": "INFO",
        "VAR_DIR": str(tmp_path),
        "LEDGER": str(ledger),
    }


def start_worker(env: dict[str, str], name: str) -> Process:
    command = [str(BIN / "celery"), "-A", "project", "worker", "--hostname", f"{name}@%h"]
    options = ["--concurrency", "2", "--queues", "default"]
    include = ["--include", "tests.hybrid_tasks.tasks,tests.hybrid_tasks.celery.deadly"]
    process = Process([*command, *options, *include], env, Path(env["VAR_DIR"]) / f"{name}.log")
    process.wait_for(" ready.")
    return process


def ended(result: TaskResult) -> bool:
    result.refresh()
    return result.is_finished


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
