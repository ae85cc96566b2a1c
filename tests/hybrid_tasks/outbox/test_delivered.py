"""What a worker does with a row when the attempt that the broker delivered cannot be made."""

from types import SimpleNamespace

import pytest
from celery.exceptions import Ignore

from hybrid_tasks.celery import delivery
from hybrid_tasks.celery.message import carrying
from hybrid_tasks.outbox import inserts
from hybrid_tasks.outbox.clock import After
from hybrid_tasks.outbox.inserts import NewRow
from hybrid_tasks.outbox.writer import OutboxWriter
from hybrid_tasks.results.task_result import TaskResult
from tests.hybrid_tasks.outbox.rows import LEASE, State, change, make, row_states
from tests.processes import PATIENCE


@pytest.fixture
def workers_writer(a_writer: OutboxWriter, monkeypatch: pytest.MonkeyPatch) -> OutboxWriter:
    monkeypatch.setattr(delivery, "writer", a_writer)
    return a_writer


@pytest.fixture
def delivered(workers_writer: OutboxWriter) -> TaskResult:
    """A task that the relay has sent and the broker has delivered."""
    result = make()
    inserts.insert([NewRow(result)])
    change(result.id, state=State.SENT, claimed_by="the relay", available_at=After(LEASE))
    return result


def run(result: TaskResult) -> None:
    headers = carrying(result)["headers"]
    request = SimpleNamespace(headers=headers, hostname="worker@test", id=result.id)
    message = SimpleNamespace(request=request)
    delivery.run_message(message, result.task.module_path, [], {})


def test_an_attempt_that_cannot_be_made_is_left_to_the_relay(
    delivered: TaskResult, workers_writer: OutboxWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("nothing works")

    monkeypatch.setattr(delivery, "ProgressTeller", fail)
    with pytest.raises(RuntimeError, match="nothing works"):
        run(delivered)
    assert workers_writer.flush(PATIENCE)
    assert row_states() == {delivered.id: State.WAITING}


def test_what_another_runs_stays_the_others(
    delivered: TaskResult, workers_writer: OutboxWriter
) -> None:
    change(delivered.id, state=State.CLAIMED, claimed_by="another worker")
    with pytest.raises(Ignore):
        run(delivered)
    assert workers_writer.flush(PATIENCE)
    assert row_states() == {delivered.id: State.CLAIMED}
