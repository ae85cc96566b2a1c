"""Tasks that a worker does not know."""

import json
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from celery.signals import task_unknown
from django.tasks import TaskResultStatus
from django.utils import timezone

from hybrid_tasks.celery import unknown
from hybrid_tasks.celery.message import carrying
from hybrid_tasks.relay import Relayed, relay
from hybrid_tasks.results import states
from hybrid_tasks.results.task_result import TaskResult
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.celery.deliveries import backend
from tests.hybrid_tasks.outbox import broker
from tests.hybrid_tasks.outbox.by_celery import settled
from tests.hybrid_tasks.outbox.rows import State, expire, row, row_states
from tests.hybrid_tasks.outbox.writers import locked_table

pytestmark = pytest.mark.usefixtures("queue")


def reject(result: TaskResult, **changes: Any) -> None:
    """Let a worker reject the message of a task, as Celery does."""
    sent = carrying(result)
    given: dict[str, Any] = {"headers": sent["headers"], "payload": (sent["args"], {}, {})}
    message = SimpleNamespace(**{**given, **changes})
    task_unknown.send(sender=None, message=message, exc=None, name="a.task", id=result.id)


def a_task(**options: Any) -> TaskResult:
    return states.make(tasks.echo.using(backend="celery", **options), ["ribs"], {}, "celery")


def test_it_is_offered_again_later(queue: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """P5 and C19: an ordinary task stayed READY for ever."""
    result = a_task(priority=30)
    before = timezone.now()
    reject(result)
    assert row_states() == {result.id: State.WAITING}
    kept = row(result.id)
    assert (kept.task_path, kept.backend, kept.priority) == (result.task.module_path, "celery", 30)
    assert timedelta(seconds=25) < kept.available_at - before < timedelta(seconds=60)
    expire(result.id)
    assert relay() == Relayed(sent=1)
    (message,) = broker.messages(queue)
    again = broker.state_in(message)
    assert (again.id, again.args, again.task.priority) == (result.id, ["ribs"], 30)


def test_a_durable_one_has_its_row() -> None:
    reject(a_task(durable=True))
    assert row_states() == {}


def test_without_a_database_it_fails_for_all_to_see(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unknown, "ROW_SECONDS", 0.1)
    result = a_task()
    backend().store.save([result])
    with locked_table():
        reject(result)
    kept = backend().store.load(result.id)
    assert (kept.status, kept.attempts) == (TaskResultStatus.FAILED, 0)
    assert kept.errors[-1].exception_class is ImportError
    assert "a.task is not registered in this worker" in kept.errors[-1].traceback
    assert settled() == {}


def test_an_end_outranks_what_is_kept_later() -> None:
    content = json.loads(states.encode(a_task()))
    text = states.encode_failed(content, ImportError("unknown"))
    assert states.encoded_rank(text) > states.encoded_rank(states.encode(a_task()))


@pytest.mark.parametrize(
    "changes",
    [
        {"headers": {}},
        {"headers": {"hybrid_tasks": 1}, "payload": None},
        {"headers": {"hybrid_tasks": 1}, "payload": (["no json"], {}, {})},
        {"headers": {"hybrid_tasks": 1}, "payload": (["[]"], {}, {})},
        {"headers": {"hybrid_tasks": 1}, "payload": (['{"task": 5}'], {}, {})},
    ],
    ids=["not ours", "no body", "no JSON", "no object", "no task"],
)
def test_what_is_no_task_of_ours_is_left_to_celery(changes: dict[str, Any]) -> None:
    reject(a_task(), **changes)
    assert row_states() == {}


def test_a_message_of_an_older_version_is_kept_too() -> None:
    result = a_task()
    reject(result, headers={"hybrid_tasks": states.encode(result)}, payload=([], {}, {}))
    assert row_states() == {result.id: State.WAITING}
