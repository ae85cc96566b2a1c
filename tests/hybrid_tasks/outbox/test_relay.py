"""What the Celery backend and the relay send to a broker, and when."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from django.utils import timezone
from pytest_django import Settings

from hybrid_tasks.celery import publisher as publisher_module
from hybrid_tasks.exceptions import TaskInterrupted
from hybrid_tasks.execution.threads import then_close
from hybrid_tasks.outbox import claims
from hybrid_tasks.relay import Relayed, relay
from hybrid_tasks.relay import relaying as relay_module
from hybrid_tasks.results import states
from hybrid_tasks.signals import task_dead
from project.settings import next_redis_database
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.outbox import broker, durable_tasks
from tests.hybrid_tasks.outbox.by_celery import enqueue, ids_in, settled, use
from tests.hybrid_tasks.outbox.rows import (
    LEASE,
    State,
    about,
    add_many,
    change,
    expire,
)
from tests.processes import PATIENCE, wait_until

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def queue(settings: Settings, broker_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a broker's database in which nothing is."""
    url = broker_url
    for _ in range(7):
        url = next_redis_database(url)
    broker.there.conf.broker_url = url
    list(broker.messages(url))
    use(settings, "there")
    # A machine that hangs for some seconds is neither a broker nor a database that is away.
    monkeypatch.setattr(publisher_module, "OUTBOX_SECONDS", PATIENCE)
    monkeypatch.setattr(relay_module, "SEND_SECONDS", PATIENCE)
    return url


def test_a_durable_task_is_the_brokers_for_a_lease(queue: str) -> None:
    result = enqueue(durable_tasks.count)
    assert settled() == {result.id: State.SENT}
    assert about(result.id, LEASE)
    assert ids_in(queue) == {result.id: 1}


def test_what_is_due_is_sent_once(queue: str) -> None:
    ids = add_many(20, alias="celery") + add_many(5, alias="default")
    assert relay(batch=10) == Relayed(sent=25)
    assert relay() == Relayed()
    assert settled() == dict.fromkeys(ids, State.SENT)
    assert ids_in(queue) == dict.fromkeys(ids, 1)


def test_relays_at_once_send_nothing_twice(queue: str) -> None:
    ids = add_many(200, alias="celery")
    start = threading.Barrier(3)

    def run(_: int) -> None:
        start.wait()
        relay(batch=7)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda number: then_close(lambda: run(number)), range(3)))
    relay()
    assert settled() == dict.fromkeys(ids, State.SENT)
    assert ids_in(queue) == dict.fromkeys(ids, 1)


def test_what_is_far_away_is_no_message_until_its_time(queue: str) -> None:
    later = timezone.now() + timedelta(hours=1)
    result = enqueue(tasks.echo, run_after=later)
    assert relay() == Relayed()
    assert settled() == {result.id: State.WAITING}
    assert about(result.id, 3600)
    assert list(broker.messages(queue)) == []
    expire(result.id)
    assert relay() == Relayed(sent=1)
    (message,) = broker.messages(queue)
    assert message["headers"]["id"] == result.id
    assert message["headers"]["eta"] is None, "a worker's clock may be behind"


def test_what_was_sent_and_never_claimed_is_sent_again(queue: str) -> None:
    result = enqueue(durable_tasks.count)
    assert settled() == {result.id: State.SENT}
    assert relay() == Relayed()
    expire(result.id)
    assert relay() == Relayed(sent=1)
    assert about(result.id, 2 * LEASE)
    assert ids_in(queue) == {result.id: 2}


def test_what_has_no_attempt_left_is_a_dead_letter(queue: str) -> None:
    heard: list[dict[str, Any]] = []

    def hear(**told: Any) -> None:
        heard.append(told)

    task_dead.connect(hear)
    try:
        (task_id,) = add_many(1, "dead worker", alias="celery")
        expire(task_id)
        change(task_id, attempts=1)
        assert relay() == Relayed(dead=1)
        wait_until(lambda: heard, "the signal is sent")
    finally:
        task_dead.disconnect(hear)
    assert settled() == {task_id: State.DEAD}
    assert list(broker.messages(queue)) == []
    error = heard[0]["task_result"].errors[-1]
    assert (heard[0]["task_id"], error.exception_class) == (task_id, TaskInterrupted)


def test_a_message_holds_the_errors_of_earlier_attempts(queue: str) -> None:
    result = enqueue(tasks.succeed_at, 3, durable=True)
    assert settled() == {result.id: State.SENT}
    list(broker.messages(queue))
    claimed = claims.claim_delivered(result.id, "worker", LEASE)
    assert claimed is not None
    tried = states.to_retry(states.started(result, "worker"), ValueError("not yet"))
    claims.postpone(tried, "worker", 0)
    assert relay() == Relayed(sent=1)
    (message,) = broker.messages(queue)
    sent = broker.state_in(message)
    assert (sent.attempts, len(sent.errors)) == (1, 1)


def test_the_relay_is_a_celery_task_of_its_name(queue: str) -> None:
    (task_id,) = add_many(1, alias="celery")
    done = current_app.tasks["hybrid_tasks.relay_outbox"].apply()
    assert done.get() == {"sent": 1, "dead": 0, "kept": 0}
    assert ids_in(queue) == {task_id: 1}
