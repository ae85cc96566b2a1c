"""A broker in which nothing is, and a Celery backend that sends to it."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.tasks.signals import task_finished
from pytest_django import Settings

from hybrid_tasks.backends import celery as celery_backend
from hybrid_tasks.celery import publisher, sending
from hybrid_tasks.results.task_result import TaskResult
from project.settings import next_redis_database
from tests.hybrid_tasks.celery import applications
from tests.hybrid_tasks.outbox import broker
from tests.hybrid_tasks.outbox.by_celery import use
from tests.processes import PATIENCE


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that hangs for some seconds is neither a broker nor a database that is away."""
    monkeypatch.setattr(publisher, "OUTBOX_SECONDS", PATIENCE)
    monkeypatch.setattr(sending, "ROWS_SECONDS", PATIENCE)
    monkeypatch.setattr(celery_backend, "PUBLISH_SECONDS", PATIENCE)
    monkeypatch.setattr(celery_backend, "FALLBACK_SECONDS", PATIENCE)


@pytest.fixture
def queue(settings: Settings, outbox: str, broker_url: str, patient: None) -> str:
    """The address of a broker's database in which nothing is."""
    url = broker_url
    for _ in range(9):
        url = next_redis_database(url)
    for app in (broker.there, *applications.ALL):
        app.conf.broker_url = url
    list(broker.messages(url))
    use(settings, "there")
    return url


@pytest.fixture
def nowhere(settings: Settings, outbox: str, patient: None) -> None:
    """Nothing listens where the broker should."""
    use(settings, "away")


@pytest.fixture
def heard() -> Iterator[list[TaskResult]]:
    """What `task_finished` told."""
    heard: list[TaskResult] = []

    def hear(task_result: TaskResult, **_kwargs: Any) -> None:
        heard.append(task_result)

    task_finished.connect(hear)
    yield heard
    task_finished.disconnect(hear)


def send_by(settings: Settings, path: str) -> None:
    """Let the backend send by the application of that path."""
    given: Any = settings.TASKS["celery"]
    changed = {**given, "OPTIONS": {**given["OPTIONS"], "app": path}}
    settings.TASKS = {**settings.TASKS, "celery": changed}
