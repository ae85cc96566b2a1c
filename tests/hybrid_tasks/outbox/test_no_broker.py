"""The Celery backend and the relay while nothing listens where the broker should."""

import asyncio

import pytest
from pytest_django import Settings

from hybrid_tasks.backends import celery as celery_backend
from hybrid_tasks.backends.eventloop import serve
from hybrid_tasks.celery import publisher, sending
from hybrid_tasks.exceptions import BrokerUnavailable
from hybrid_tasks.execution.threads import then_close
from hybrid_tasks.relay import Relayed, relay
from hybrid_tasks.results.states import decode
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.outbox import durable_tasks
from tests.hybrid_tasks.outbox.by_celery import enqueue, settled, use
from tests.hybrid_tasks.outbox.rows import (
    LEASE,
    State,
    add_many,
    row,
    row_states,
    states_apart,
)
from tests.hybrid_tasks.outbox.writers import locked_table
from tests.processes import PATIENCE

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def away(settings: Settings, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing listens where the broker should, however slow this machine is."""
    use(settings, "away")
    monkeypatch.setattr(publisher, "AWAY_SECONDS", LEASE)
    monkeypatch.setattr(publisher, "OUTBOX_SECONDS", PATIENCE)
    monkeypatch.setattr(sending, "ROWS_SECONDS", PATIENCE)
    monkeypatch.setattr(celery_backend, "FALLBACK_SECONDS", PATIENCE)


@pytest.mark.usefixtures("away")
def test_an_ordinary_task_becomes_a_row() -> None:
    result = enqueue(tasks.echo, "a")
    assert row_states() == {result.id: State.WAITING}
    kept = decode(row(result.id).message)
    assert (kept.args, kept.task.durable) == (["a"], True)  # type: ignore[attr-defined]


@pytest.mark.usefixtures("away")
async def test_an_ordinary_task_of_a_coroutine_becomes_a_row() -> None:
    result = await tasks.echo.using(backend="celery").aenqueue()
    assert await asyncio.to_thread(states_apart) == {result.id: State.WAITING}


@pytest.mark.usefixtures("away")
def test_a_durable_task_is_left_to_the_relay() -> None:
    result = enqueue(durable_tasks.count)
    assert settled() == {result.id: State.WAITING}
    assert row(result.id).sends == row(result.id).attempts == 0


@pytest.mark.usefixtures("away")
def test_a_durable_task_for_which_there_is_no_room_is_left_to_the_relay(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(publisher.Publisher, "limit", 0)
    result = enqueue(durable_tasks.count)
    assert settled() == {result.id: State.WAITING}
    assert f"Task id={result.id} is left to the relay" in caplog.text


@pytest.mark.usefixtures("away")
def test_with_neither_broker_nor_database_the_caller_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(celery_backend, "FALLBACK_SECONDS", 0.2)
    with locked_table(), pytest.raises(BrokerUnavailable):
        enqueue(tasks.echo)
    assert settled() == {}


@pytest.mark.usefixtures("away")
def test_the_relay_keeps_what_the_broker_does_not_take() -> None:
    ids = add_many(3, alias="celery")
    assert relay() == Relayed(kept=3)
    assert settled() == dict.fromkeys(ids, State.WAITING)
    assert {row(task_id).sends for task_id in ids} == {0}


@pytest.mark.usefixtures("away")
async def test_a_stop_leaves_rows_for_all_that_waits() -> None:
    """Also for ordinary tasks: an orderly stop loses none."""
    durable_tasks.gates.clear()
    durable_tasks.runs.clear()
    async with serve():
        again = durable_tasks.wait_for.using(max_attempts=2)
        running = await again.aenqueue("never")
        await asyncio.sleep(0)
        waiting = await durable_tasks.count.aenqueue()
        ordinary = await tasks.echo.aenqueue()
    there = await asyncio.to_thread(then_close, settled)
    assert there == dict.fromkeys((running.id, waiting.id, ordinary.id), State.WAITING)
