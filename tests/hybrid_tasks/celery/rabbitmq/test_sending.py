"""RabbitMQ as the broker: what is accepted arrives, whatever becomes of the connection."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from celery import Celery
from django.utils import timezone
from kombu import Connection

from hybrid_tasks.celery import publisher
from hybrid_tasks.celery.publisher import publisher_of
from hybrid_tasks.exceptions import MessageRefused
from hybrid_tasks.relay import relay
from hybrid_tasks.results import states
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.celery.deliveries import backend
from tests.hybrid_tasks.celery.rabbitmq.conftest import delivered
from tests.hybrid_tasks.outbox.by_celery import enqueue, settled
from tests.hybrid_tasks.outbox.rows import State
from tests.processes import PATIENCE, wait_until
from tests.rabbitmq import RabbitMQ, Wire

ACCEPTED = 300
LARGE = "x" * 150_000  # more than a frame holds


def test_a_connection_that_is_cut_loses_nothing_that_was_accepted(
    sending: Celery, broker: Connection, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C3: of 326 tasks that were accepted meanwhile, 85 were lost."""
    monkeypatch.setattr(publisher, "AWAY_SECONDS", 0.0)  # else most would go to the outbox
    done = threading.Event()

    def cut_often() -> None:
        while not done.wait(0.1):
            wire.cut()

    cutting = threading.Thread(target=cut_often)
    cutting.start()
    try:
        with ThreadPoolExecutor(8) as pool:
            accepted = set(pool.map(lambda _: enqueue(tasks.echo).id, range(ACCEPTED)))
    finally:
        done.set()
        cutting.join()
    rows = settled()
    arrived = {result.id for result in delivered(broker)}
    assert len(accepted) == ACCEPTED
    assert accepted <= arrived | rows.keys()


def test_large_arguments_arrive_and_so_does_what_comes_after(
    sending: Celery, broker: Connection
) -> None:
    """C3: the state was in a header, which must fit one frame: lost, with the next 21 tasks."""
    large = enqueue(tasks.echo, LARGE)
    small = [enqueue(tasks.echo) for _ in range(25)]
    arrived = {result.id: result for result in delivered(broker)}
    assert arrived.keys() == {large.id, *(result.id for result in small)}
    assert arrived[large.id].args == [LARGE]
    assert settled() == {}


def test_a_server_that_hangs_is_no_concern_of_the_caller(
    sending: Celery, broker: Connection, wire: Wire
) -> None:
    enqueue(tasks.echo)
    wire.hold()
    began = time.monotonic()
    held = [enqueue(tasks.echo) for _ in range(3)]
    assert time.monotonic() - began < PATIENCE / 4
    wire.release()
    assert settled() == dict.fromkeys([result.id for result in held], State.WAITING)
    wait_until(lambda: not publisher_of(sending).runtime.clock.monotonic() < away(sending), "")
    after = enqueue(tasks.echo)
    assert after.id in {result.id for result in delivered(broker)}


def away(app: Celery) -> float:
    return publisher_of(app)._away_until


def test_a_message_that_it_refuses_is_one_messages_trouble(
    sending: Celery, broker: Connection
) -> None:
    """C2: an error of the channel, such as a queue of another kind, is not the broker's end."""
    channel = broker.channel()
    channel.queue_declare("odd", arguments={"x-max-length": 5}, auto_delete=False, durable=True)
    before = enqueue(tasks.echo)
    with pytest.raises(MessageRefused, match="PRECONDITION_FAILED"):
        enqueue(tasks.echo, queue_name="odd")
    after = enqueue(tasks.echo)
    assert {result.id for result in delivered(broker)} == {before.id, after.id}
    assert settled() == {}


def test_a_queue_that_was_deleted_is_made_anew(sending: Celery, broker: Connection) -> None:
    """The server confirms what it drops because nobody would get it."""
    enqueue(tasks.echo)
    channel = broker.channel()
    channel.queue_delete("default")
    result = enqueue(tasks.echo)
    assert [found.id for found in delivered(broker)] == [result.id]


def test_the_broker_answers_or_does_not(sending: Celery, wire: Wire) -> None:
    assert backend().reachable() is True
    wire.hold()
    assert backend().reachable() is False


# --- Out of memory -------------------------------------------------------------------------------


@pytest.fixture
def out_of_memory(rabbitmq: RabbitMQ, sending: Celery) -> Iterator[None]:
    """The server takes connections, and reads nothing of what they publish."""
    rabbitmq.out_of_memory()
    yield
    rabbitmq.enough_memory()


def test_a_server_that_is_out_of_memory_is_no_concern_of_the_caller(
    sending: Celery, out_of_memory: None, rabbitmq: RabbitMQ, broker: Connection
) -> None:
    began = time.monotonic()
    held = [enqueue(tasks.echo), enqueue(tasks.echo, durable=True), enqueue(tasks.echo)]
    assert time.monotonic() - began < PATIENCE / 4
    assert settled() == dict.fromkeys([result.id for result in held], State.WAITING)
    rabbitmq.enough_memory()

    def all_sent() -> bool:
        relay()
        return State.WAITING not in settled().values()

    wait_until(all_sent, "the relay has sent them")
    assert {result.id for result in delivered(broker)} == {result.id for result in held}


# --- Later ---------------------------------------------------------------------------------------


@pytest.fixture(params=["direct", "topic"])
def exchange(request: pytest.FixtureRequest, sending: Celery) -> Iterator[str]:
    """With the second, Celery has quorum queues wait in exchanges of its own."""
    before = sending.conf.task_default_exchange, sending.conf.task_default_exchange_type
    renew(sending, f"by-{request.param}", request.param)
    yield request.param
    renew(sending, *before)


def renew(app: Celery, exchange: str, kind: str) -> None:
    app.conf.task_default_exchange, app.conf.task_default_exchange_type = exchange, kind
    app.amqp = type(app.amqp)(app)  # which remembers the queues


@pytest.mark.parametrize("seconds", [0.5, 3])
def test_what_is_due_soon_is_sent_before_any_worker_ran(
    sending: Celery, broker: Connection, exchange: str, seconds: float
) -> None:
    """Quorum queues and a topic exchange: it was refused, for a number or an exchange too few."""
    later = timezone.now() + timedelta(seconds=seconds)
    result = enqueue(tasks.echo, run_after=later)
    (message,) = [found for found in delivered(broker) if found.id == result.id]
    assert message.task.run_after == later
    assert settled() == {}


def test_what_is_due_later_waits_in_the_outbox(sending: Celery, rabbitmq: RabbitMQ) -> None:
    """In a quorum queue, the next attempts of two tasks had kept a worker from all others."""
    result = states.make(tasks.echo.using(backend="celery"), [], {}, "celery")
    again = states.delayed(result, 30)
    assert backend().route.hand_on([again], PATIENCE) == []
    assert settled() == {result.id: State.WAITING}
    assert rabbitmq.queued("default") == 0
