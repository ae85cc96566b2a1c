"""What is on its way to brokers: one message's fault is its own, and one broker's, too."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from django.tasks import TaskResultStatus, task_backends
from django.tasks.signals import task_enqueued
from django.utils import timezone
from pytest_django import Settings

from hybrid_tasks import engine
from hybrid_tasks.backends import celery as celery_backend
from hybrid_tasks.celery import publisher as publisher_room
from hybrid_tasks.celery.publisher import Publisher, publisher_of
from hybrid_tasks.exceptions import BrokerUnavailable, MessageRefused
from hybrid_tasks.outbox import table
from hybrid_tasks.relay import Relayed, relay
from hybrid_tasks.results import states
from hybrid_tasks.results.task_result import TaskResult
from hybrid_tasks.runtime import Runtime, current
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.celery import applications
from tests.hybrid_tasks.celery.conftest import send_by
from tests.hybrid_tasks.celery.deliveries import backend
from tests.hybrid_tasks.outbox import broker, durable_tasks
from tests.hybrid_tasks.outbox.by_celery import enqueue, ids_in, settled
from tests.hybrid_tasks.outbox.rows import (
    LEASE,
    State,
    about,
    add,
    add_many,
    change,
    row,
    row_states,
)
from tests.hybrid_tasks.outbox.writers import locked_table
from tests.hybrid_tasks.runtimes import HandClock, own_runtime, settle
from tests.processes import PATIENCE, wait_until

UNENCODABLE = object()


def unencodable(**options: Any) -> TaskResult:
    ready = states.make(tasks.echo.using(backend="celery", **options), [], {}, "celery")
    return states.advance(ready, args=[UNENCODABLE])


# --- One message ---------------------------------------------------------------------------------


def test_a_message_for_an_unknown_queue_starves_no_other(
    queue: str, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """C2: five runs of the relay sent 0 and kept 31."""
    send_by(settings, f"{applications.__name__}.strict")
    (bad,) = add_many(1, alias="celery", priority=10)
    change(bad, message=row(bad).message.replace('"default"', '"nobodys"'))
    good = add_many(30, alias="celery")
    assert relay(batch=7) == Relayed(sent=30, kept=1)
    assert ids_in(queue) == dict.fromkeys(good, 1)
    assert settled() == dict.fromkeys([bad, *good], State.SENT)
    assert about(bad, LEASE), "it is tried again when its lease ends"
    assert f"hybrid-tasks-publisher cannot write {bad}" in caplog.text


def test_one_that_cannot_be_sent_holds_up_none_behind_it(queue: str) -> None:
    """C1: whatever comes after such a message stayed in the publisher and was lost at the exit."""
    first = [enqueue(tasks.echo) for _ in range(3)]
    with pytest.raises(MessageRefused, match="cannot be sent: TypeError") as caught:
        backend().dispatch(unencodable())
    assert isinstance(caught.value.__cause__, TypeError)
    last = [enqueue(tasks.echo) for _ in range(3)]
    assert ids_in(queue) == dict.fromkeys([it.id for it in first + last], 1)


async def test_a_coroutine_hears_of_it_too(queue: str) -> None:
    with pytest.raises(MessageRefused):
        await backend().adispatch(unencodable())


def test_what_overflowed_and_cannot_be_sent_fails_openly(
    queue: str, heard: list[TaskResult], caplog: pytest.LogCaptureFixture
) -> None:
    """C1: nobody waits for it any more, so its result has to tell."""
    refused = unencodable()
    others = [states.make(tasks.echo, [], {}, "default") for _ in range(2)]
    for result in (others[0], refused, others[1]):
        backend().route.put(result)
    settled()
    assert ids_in(queue) == dict.fromkeys([it.id for it in others], 1)
    (failed,) = heard
    assert (failed.id, failed.status) == (refused.id, TaskResultStatus.FAILED)
    assert failed.errors[-1].exception_class is MessageRefused
    assert refused.id in caplog.text


def test_the_next_one_gets_a_connection_that_works(queue: str) -> None:
    """C2: an error of the channel leaves it useless, but says nothing of the broker."""
    enqueue(tasks.echo)
    one = publisher_of(broker.there)
    before = one._producer
    assert before is not None
    with pytest.raises(MessageRefused):
        backend().dispatch(unencodable())
    enqueue(tasks.echo)
    assert one._producer is not before
    assert len(ids_in(queue)) == 2


# --- One broker ----------------------------------------------------------------------------------


@pytest.fixture
def two_brokers(queue: str, settings: Settings) -> None:
    """A backend whose broker is there, and one whose is not."""
    settings.TASKS = {
        **settings.TASKS,
        "other": {
            "BACKEND": "hybrid_tasks.backends.celery.CeleryBackend",
            "OPTIONS": {"app": f"{broker.__name__}.away", "lease": LEASE},
        },
    }


@pytest.mark.usefixtures("two_brokers")
def test_a_broker_that_is_away_keeps_nothing_from_another(
    queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C2: with the first application's broker down, the second's rows were never sent."""
    monkeypatch.setattr(publisher_room, "AWAY_SECONDS", LEASE)
    for _ in range(2):
        there = add_many(3, alias="celery")
        away = add_many(3, alias="other")
        assert relay() == Relayed(sent=3, kept=len(away))
        assert ids_in(queue) == dict.fromkeys(there, 1)
        states_now = settled()
        assert {states_now[task_id] for task_id in away} == {State.WAITING}
        assert {states_now[task_id] for task_id in there} == {State.SENT}
        table.rows(away).delete()


@pytest.mark.usefixtures("nowhere")
def test_who_waits_is_told_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """C25: "goes to the outbox:" had an empty reason."""
    monkeypatch.setattr(celery_backend, "FALLBACK_SECONDS", 0.2)
    with locked_table(), pytest.raises(BrokerUnavailable) as caught:
        enqueue(tasks.echo)
    assert "OperationalError" in str(caught.value.__cause__)
    settled()


@pytest.mark.usefixtures("nowhere")
def test_the_log_tells_the_reason(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """C25: a time-out has no text of its own."""
    monkeypatch.setattr(celery_backend, "PUBLISH_SECONDS", 0.0)
    enqueue(tasks.echo)
    assert "goes to the outbox: TimeoutError()" in caplog.text


# --- What nobody waits for -----------------------------------------------------------------------


@pytest.mark.usefixtures("nowhere")
def test_what_overflowed_waits_in_the_outbox_until_its_time() -> None:
    later = timezone.now() + timedelta(seconds=LEASE)
    due = states.make(tasks.echo, [], {}, "default")
    waits = states.delayed(states.make(tasks.echo, [], {}, "default"), LEASE)
    assert waits.task.run_after is not None
    assert waits.task.run_after >= later
    for result in (due, waits):
        backend().accept(result)
    assert settled() == dict.fromkeys([due.id, waits.id], State.WAITING)
    assert about(waits.id, LEASE)
    assert not about(due.id, LEASE)


@pytest.mark.usefixtures("nowhere")
def test_without_a_database_too_it_waits_here_and_is_not_lost(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(publisher_room, "OUTBOX_SECONDS", 0.1)
    result = states.make(tasks.echo, [], {}, "default")
    one = publisher_of(broker.away)
    with locked_table():
        backend().accept(result)
        wait_until(lambda: "wait for the broker here" in caplog.text, "it waits")
        assert len(one) == 1
        assert backend().local_result(result.id) == states.advance(result, backend="celery")
    monkeypatch.setattr(publisher_room, "OUTBOX_SECONDS", PATIENCE)
    assert settled() == {result.id: State.WAITING}


@pytest.mark.usefixtures("nowhere")
def test_there_is_a_bound_to_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    one = publisher_of(broker.away)
    monkeypatch.setattr(one, "limit", 0)
    refused = backend().take_over([states.make(tasks.echo, [], {}, "default")], 1.0)
    assert one.dropped == 1
    assert refused == []
    assert list(settled().values()) == [State.WAITING], "the outbox has it"


@pytest.mark.parametrize("alias", ["default", "celery"])
def test_what_overflowed_is_found_at_once(queue: str, alias: str) -> None:
    """C8: 19 of 20 look-ups right after `enqueue()` raised TaskResultDoesNotExist."""
    for _ in range(20):
        result = tasks.echo.enqueue()  # no loop runs here
        found = task_backends[alias].get_result(result.id)
        assert (found.id, found.status) == (result.id, TaskResultStatus.READY)
    settled()


@pytest.mark.usefixtures("nowhere")
def test_what_went_to_the_outbox_is_found_and_announced_once() -> None:
    """C8: with the broker away 4 of 5 were not found."""
    told: list[str] = []

    def hear(task_result: TaskResult, **_kwargs: Any) -> None:
        told.append(task_result.id)

    task_enqueued.connect(hear)
    try:
        results = [enqueue(tasks.echo), enqueue(durable_tasks.count)]
    finally:
        task_enqueued.disconnect(hear)
    for result in results:
        assert backend().get_result(result.id).status == TaskResultStatus.READY
    assert told == [result.id for result in results]


# --- Rows ----------------------------------------------------------------------------------------


def test_a_message_owns_its_row_until_that_is_marked(queue: str) -> None:
    with own_runtime(Runtime(threads=False)) as runtime:
        result = add(runtime.holder, alias="celery")
        backend().route.put(result)
        assert runtime.owned() == {result.id: LEASE}
        runtime.step()
        settle(runtime)
        assert runtime.owned() == {}
        assert row_states() == {result.id: State.SENT}
    assert ids_in(queue) == {result.id: 1}


def test_what_another_process_has_taken_is_not_sent(queue: str) -> None:
    with own_runtime(Runtime(threads=False)) as runtime:
        result = add(runtime.holder, alias="celery")
        backend().route.put(result)
        for owner in runtime.owners:
            owner.lost({result.id})
        settle(runtime)
        assert runtime.owned() == {}
    assert ids_in(queue) == {}


def test_a_task_that_has_ended_is_not_overwritten_by_the_relay(queue: str) -> None:
    """C11: 1 of 600 stayed READY for ever."""
    (task_id,) = add_many(1, alias="celery")
    ready = states.decode(row(task_id).message)
    ended = states.succeeded(states.started(ready, "a quick worker"), "done")
    backend().store.save([ended])
    assert relay() == Relayed(sent=1)
    settled()
    assert backend().get_result(task_id).return_value == "done"


# --- Connections and threads ---------------------------------------------------------------------


def test_an_idle_connection_is_closed_and_a_new_one_made(
    queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C24: threads keep nothing open that they do not need."""
    monkeypatch.setattr(engine, "IDLE_SECONDS", 0.05)
    first = enqueue(tasks.echo)
    one = publisher_of(broker.there)
    wait_until(lambda: one._producer is None, "the connection is closed")
    second = enqueue(tasks.echo)
    assert ids_in(queue) == {first.id: 1, second.id: 1}


def test_all_of_it_can_be_stepped_by_hand(queue: str) -> None:
    with own_runtime(Runtime(threads=False, clock=HandClock())) as runtime:
        results = [enqueue(tasks.echo), enqueue(durable_tasks.count)]
        settle(runtime)
        assert current() is runtime
        assert row_states() == {results[1].id: State.SENT}
        assert all(part._thread is None for part in runtime.steppables)  # type: ignore[attr-defined]
    assert ids_in(queue) == {result.id: 1 for result in results}


async def test_a_coroutine_may_be_stepped_by_another(queue: str) -> None:
    with own_runtime(Runtime(threads=False)) as runtime:
        sending = asyncio.create_task(tasks.echo.using(backend="celery").aenqueue())
        while not sending.done():
            await asyncio.sleep(0)
            with suppress(RuntimeError):
                runtime.step()
        result = await sending
    assert ids_in(queue) == {result.id: 1}


def test_each_application_has_a_publisher_of_its_own(outbox: str) -> None:
    one, other = publisher_of(broker.there), publisher_of(broker.away)
    assert one is not other
    assert isinstance(one, Publisher)
    assert publisher_of(broker.there) is one
