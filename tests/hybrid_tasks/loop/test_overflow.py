"""What the loop cannot take goes to the overflow, and is announced as any other task."""

import pytest
from django.tasks.signals import task_enqueued
from pytest_django import Settings

from hybrid_tasks.backends.celery import CeleryBackend
from hybrid_tasks.results.task_result import TaskResult
from tests.hybrid_tasks.tasks import echo


def test_a_task_that_overflows_is_announced_once(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.TASKS = {
        "default": {
            "BACKEND": "hybrid_tasks.backends.eventloop.EventLoopBackend",
            "OPTIONS": {"overflow": "celery"},
        },
        "celery": {"BACKEND": "hybrid_tasks.backends.celery.CeleryBackend"},
    }
    accepted: list[str] = []
    announced: list[str] = []
    monkeypatch.setattr(CeleryBackend, "accept", lambda _, result: accepted.append(result.id))

    def note(task_result: TaskResult, **_kwargs: object) -> None:
        announced.append(task_result.id)

    task_enqueued.connect(note)
    try:
        result = echo.enqueue("tofu")  # no server's loop is here
    finally:
        task_enqueued.disconnect(note)
    assert accepted == announced == [result.id]
