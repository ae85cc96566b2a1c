"""What a worker does with a row when the attempt that the broker delivered cannot be made."""

from types import SimpleNamespace

import pytest
from celery import current_app
from celery.app.task import Context
from celery.exceptions import Ignore

from hybrid_tasks.celery import delivery, worker
from hybrid_tasks.celery.message import carrying
from hybrid_tasks.outbox import inserts
from hybrid_tasks.outbox.clock import After
from hybrid_tasks.outbox.inserts import NewRow
from hybrid_tasks.outbox.writer import writer
from hybrid_tasks.results.task_result import TaskResult
from hybrid_tasks.runtime import current
from tests.hybrid_tasks.outbox.rows import LEASE, State, change, make, row_states
from tests.processes import PATIENCE


@pytest.fixture
def delivered(database: str) -> TaskResult:
    """A task that the relay has sent and the broker has delivered."""
    result = make()
    inserts.insert([NewRow(result)])
    change(result.id, state=State.SENT, claimed_by="the relay", available_at=After(LEASE))
    return result


def run(result: TaskResult) -> None:
    sent = carrying(result)
    request = Context(headers=sent["headers"], hostname="worker@test", id=result.id)
    message = SimpleNamespace(request=request, app=current_app)
    worker.run_message(message, result.task.module_path, sent["args"], {})


def test_an_attempt_that_cannot_be_made_is_left_to_the_relay(
    delivered: TaskResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("nothing works")

    monkeypatch.setattr(delivery, "ProgressTeller", fail)
    with pytest.raises(RuntimeError, match="nothing works"):
        run(delivered)
    assert writer().flush(PATIENCE)
    assert current().owned() == {}
    assert row_states() == {delivered.id: State.WAITING}


def test_what_another_runs_stays_the_others(delivered: TaskResult) -> None:
    change(delivered.id, state=State.CLAIMED, claimed_by="another worker")
    with pytest.raises(Ignore):
        run(delivered)
    assert writer().flush(PATIENCE)
    assert row_states() == {delivered.id: State.CLAIMED}
