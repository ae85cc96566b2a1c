"""A RabbitMQ broker, an application that sends to it over a wire, and workers behind it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from django.db import connections
from kombu import Connection, Queue
from pytest_django import Settings

from hybrid_tasks.results.states import decode
from hybrid_tasks.results.task_result import TaskResult
from tests.conftest import BIN
from tests.hybrid_tasks.caches import shared_cache
from tests.hybrid_tasks.celery import applications
from tests.hybrid_tasks.outbox.by_celery import use
from tests.processes import Process
from tests.rabbitmq import RabbitMQ, Wire


@pytest.fixture(params=["rabbitmq", "quorum"], ids=["classic", "quorum"])
def kind(request: pytest.FixtureRequest) -> str:
    """The kind of queues, as docs/brokers.md sets them up."""
    kind: str = request.param
    return kind


@pytest.fixture
def broker(rabbitmq: RabbitMQ) -> Iterator[Connection]:
    """A connection of the test's own to queues in which nothing is."""
    with Connection(rabbitmq.url) as connection:
        yield connection
    rabbitmq.delete_queues("default", "default.again", "odd")


@pytest.fixture
def wire(rabbitmq: RabbitMQ) -> Iterator[Wire]:
    wire = Wire(rabbitmq.port)
    yield wire
    wire.close()


@pytest.fixture
def sending(broker: Connection, wire: Wire, settings: Settings, outbox: str, kind: str) -> Celery:
    """The application that sends over the wire."""
    use(settings, "there")
    options = {"app": f"{applications.__name__}.{kind}", "lease": 1000}
    ours: Any = {**settings.TASKS["celery"], "QUEUES": ["default", "odd"], "OPTIONS": options}
    settings.TASKS = {**settings.TASKS, "celery": ours}
    app: Celery = getattr(applications, kind)
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


@pytest.fixture
def env(
    rabbitmq: RabbitMQ,
    broker_url: str,
    outbox: str,
    settings: Settings,
    kind: str,
    tmp_path: Path,
) -> dict[str, str]:
    """The environment of workers that share our cache."""
    settings.CACHES = shared_cache(broker_url)
    ledger = tmp_path / "ledger"
    ledger.touch()
    return {
        "DJANGO_SETTINGS_MODULE": "tests.hybrid_tasks.broker_settings",
        "BROKER_NAME": kind,
        "BROKER_URL": rabbitmq.url,
        "DATABASE_URL": f"sqlite:///{connections[outbox].settings_dict['NAME']}",
        "CACHE_URL": settings.CACHES["default"]["LOCATION"],
        "LOG_LEVEL": "INFO",
        "VAR_DIR": str(tmp_path),
        "LEDGER": str(ledger),
    }


def start_worker(env: dict[str, str], name: str, *more: str) -> Process:
    command = [str(BIN / "celery"), "-A", "project", "worker", "--hostname", f"{name}@%h"]
    options = ["--concurrency", "2"]
    include = ["--include", "tests.hybrid_tasks.tasks,tests.hybrid_tasks.celery.deadly"]
    process = Process(
        [*command, *options, *include, *more], env, Path(env["VAR_DIR"]) / f"{name}.log"
    )
    try:
        process.wait_for(" ready.")
    except AssertionError:
        process.kill()
        raise
    return process


def ended(result: TaskResult) -> bool:
    result.refresh()
    return result.is_finished


def ran(env: dict[str, str]) -> list[str]:
    """Return the ids of the tasks that have run, in order, as often as they have."""
    lines = map(json.loads, Path(env["LEDGER"]).read_text().splitlines())
    return [line["key"] for line in lines if line["event"] == "ran"]
