"""The Celery backend: what it takes, what it cancels, and where it sends."""

from datetime import timedelta
from typing import Any

import pytest
from celery import Celery
from django.core.cache import caches
from django.tasks import TaskResultStatus
from django.tasks import task as django_task
from django.tasks.exceptions import InvalidTask
from django.utils import timezone
from pytest_django import Settings

from hybrid_tasks.backends.celery import CeleryBackend
from hybrid_tasks.celery import connecting
from hybrid_tasks.exceptions import TaskCancelled
from hybrid_tasks.outbox import claims, table
from hybrid_tasks.results import states
from hybrid_tasks.results.recorder import recorder
from hybrid_tasks.results.task_result import TaskResult
from hybrid_tasks.tasks import Task, task
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.celery import applications, plain_tasks
from tests.hybrid_tasks.celery.away import cache_away
from tests.hybrid_tasks.celery.conftest import send_by
from tests.hybrid_tasks.celery.deliveries import backend
from tests.hybrid_tasks.outbox import broker, durable_tasks
from tests.hybrid_tasks.outbox.by_celery import enqueue, ids_in, settled
from tests.hybrid_tasks.outbox.rows import State, about, add_many, row, row_states
from tests.processes import PATIENCE

DAYS = timedelta(days=3)


def stored(result: TaskResult) -> TaskResult:
    assert recorder().flush(PATIENCE)
    return backend().store.load(result.id)


# --- What a worker could not find ----------------------------------------------------------------


def test_a_task_of_the_running_script_is_refused(
    queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C21: a worker has another `__main__`."""
    monkeypatch.setattr(plain_tasks.function, "__module__", "__main__")
    with pytest.raises(InvalidTask, match="no worker could find it"):
        task(plain_tasks.function).using(backend="celery")


def test_a_task_of_another_package_is_refused(queue: str, settings: Settings) -> None:
    """C21: it was accepted, and no worker had registered it."""
    other = {"BACKEND": "django.tasks.backends.immediate.ImmediateBackend"}
    settings.TASKS = {**settings.TASKS, "other": other}
    plain = django_task(backend="other")(plain_tasks.others)
    assert not isinstance(plain, Task)
    with pytest.raises(InvalidTask, match=r"use hybrid_tasks\.tasks\.task"):
        plain.using(backend="celery")
    with pytest.raises(InvalidTask, match=r"use hybrid_tasks\.tasks\.task"):
        backend().enqueue(plain, [], {})


def test_a_task_may_have_another_name_than_its_function(queue: str) -> None:
    """C21: it was accepted, and failed in the worker, whose import found the bare function."""
    result = plain_tasks.renamed.using(backend="celery").enqueue()
    (message,) = broker.messages(queue)
    assert message["headers"]["task"] == f"{plain_tasks.__name__}.function"
    assert broker.state_in(message).task.func is plain_tasks.function
    assert result.task.module_path in broker.there.tasks


# --- The application -----------------------------------------------------------------------------


def test_the_application_of_the_option_decides_how_a_task_is_sent(
    queue: str, settings: Settings
) -> None:
    """C23: the default application's task, with its settings, went over the other's connection."""
    send_by(settings, f"{applications.__name__}.fleeting")
    enqueue(tasks.echo)
    (message,) = broker.messages(queue)
    assert message["properties"]["delivery_mode"] == 1


def test_the_state_is_sent_as_json_whatever_the_application_prefers(
    queue: str, settings: Settings
) -> None:
    """C23: with another `task_serializer` workers that accept JSON refused each message."""
    send_by(settings, f"{applications.__name__}.yaml")
    result = enqueue(tasks.echo, "ribs")
    (message,) = broker.messages(queue)
    assert message["content-type"] == "application/json"
    assert broker.state_in(message).args == result.args == ["ribs"]


# --- Taking over ---------------------------------------------------------------------------------


def test_a_hand_over_keeps_the_backoff(queue: str) -> None:
    """C7: a task whose backoff said 60 s was tried again 0.6 s later elsewhere."""
    near, far = (
        states.delayed(states.make(tasks.echo, [], {}, "default"), seconds) for seconds in (3, 600)
    )
    due = states.make(tasks.echo, [], {}, "default")
    assert backend().take_over([near, far, due], PATIENCE) == []
    sent = {message["headers"]["id"]: message for message in broker.messages(queue)}
    assert sent.keys() == {near.id, due.id}
    assert near.task.run_after is not None
    assert sent[near.id]["headers"]["eta"] == near.task.run_after.isoformat()
    assert sent[due.id]["headers"]["eta"] is None
    assert settled() == {far.id: State.WAITING}
    assert about(far.id, 600)


@pytest.mark.usefixtures("nowhere")
def test_a_hand_over_without_a_broker_keeps_it_too() -> None:
    near = states.delayed(states.make(tasks.echo, [], {}, "default"), 3)
    assert backend().take_over([near], 2.0) == []
    assert settled() == {near.id: State.WAITING}
    assert near.task.run_after is not None
    assert row(near.id).available_at >= near.task.run_after - timedelta(milliseconds=1)


def test_what_is_relayed_for_another_backend_can_be_cancelled(queue: str) -> None:
    (task_id,) = add_many(1, alias="default")
    relayed = states.decode(row(task_id).message)
    backend().forward([relayed], PATIENCE)
    assert stored(relayed).backend == "celery"


# --- Cancelling ----------------------------------------------------------------------------------


def waiting(**options: Any) -> TaskResult:
    return enqueue(durable_tasks.count, run_after=timezone.now() + DAYS, **options)


def test_what_waits_is_cancelled_although_the_cache_has_forgotten_it(queue: str) -> None:
    """C10: cleared, or `result_ttl` over for a task in three days: TaskResultDoesNotExist."""
    result = waiting()
    settled()
    caches["default"].clear()
    assert backend().cancel(result.id) is True
    assert settled() == {}
    assert stored(result).errors[-1].exception_class is TaskCancelled


def test_what_waits_is_cancelled_although_the_cache_is_away(queue: str) -> None:
    """C10: its row is there, which is what counts."""
    with cache_away():
        result = waiting()
        assert backend().cancel(result.id) is True
        assert row_states() == {}
        found = backend().get_result(result.id)  # until it can be stored, from here
        assert found.errors[-1].exception_class is TaskCancelled
    assert stored(result).errors[-1].exception_class is TaskCancelled


def test_whose_row_is_settled_is_not_cancelled(queue: str) -> None:
    """Also while its end is not stored yet."""
    result = enqueue(durable_tasks.count)
    settled()
    claims.discard([result.id])
    assert backend().cancel(result.id) is False


def test_a_dead_letter_is_not_cancelled(queue: str) -> None:
    result = enqueue(durable_tasks.count)
    settled()
    table.rows([result.id]).update(state=State.DEAD)
    assert backend().cancel(result.id) is False
    assert row_states() == {result.id: State.DEAD}


@pytest.mark.parametrize("task", [tasks.echo, durable_tasks.count], ids=["ordinary", "durable"])
def test_the_end_of_another_is_not_called_a_cancel(
    queue: str, monkeypatch: pytest.MonkeyPatch, task: Task
) -> None:
    """C10: a task that succeeds in the same moment has succeeded, and the caller is told so."""
    result = enqueue(task)
    settled()
    looked_up = stored(result)
    backend().store.save([states.succeeded(states.started(result, "a quick worker"), "done")])
    monkeypatch.setattr(CeleryBackend, "get_result", lambda *_: looked_up)
    assert backend().cancel(result.id) is False
    assert stored(result).return_value == "done"


@pytest.mark.usefixtures("nowhere")
def test_what_waits_here_for_its_broker_never_starts() -> None:
    """Nor does the row start that it has meanwhile, although no worker can be told."""
    result = enqueue(tasks.echo)
    assert settled() == {result.id: State.WAITING}
    assert backend().cancel(result.id) is True
    assert row_states() == {}
    assert stored(result).status == TaskResultStatus.FAILED


def test_a_cancel_connects_by_itself(queue: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Celery's pool would wait for a broker for ever, and be shared with a forked child."""
    opened: list[Celery] = []
    connected = connecting.connected

    def note(app: Celery) -> Any:
        opened.append(app)
        return connected(app)

    monkeypatch.setattr(connecting, "connected", note)
    result = enqueue(tasks.echo)
    assert backend().cancel(result.id) is True
    assert opened == [broker.there]
    assert ids_in(queue) == {result.id: 1}
