"""A broker that is not there, hangs, or comes back with all or nothing of what it had."""

import time
from collections.abc import Callable
from contextlib import closing

import pytest

from tests.faults.brokers import Rabbit
from tests.faults.conftest import Report
from tests.faults.system import FaultSystem, Load, accept
from tests.loop.system import Web
from tests.processes import wait_until
from tests.rabbitmq import Wire

REQUEST_SECONDS = 2.0  # that a request may take, whatever the broker does
NOISE = 4  # times as long may it take where processes hang for seconds
HUNG_SECONDS = 20.0
RETURN_SECONDS = 20.0  # within which all is done after the broker's return

KINDS = [pytest.param(kind, marks=pytest.mark.every_broker) for kind in ("rabbitmq", "quorum")]


@pytest.fixture(params=["", *KINDS], ids=lambda kind: kind or "valkey")
def rabbitmq(request: pytest.FixtureRequest) -> str:
    """Each broker in turn."""
    kind: str = request.param
    return kind


def accept_meanwhile(system: FaultSystem, web: Web) -> None:
    """Enqueue tasks of all kinds, for both backends, while something is wrong with the broker."""
    answers = [
        accept(web, 40, tasks="again,once,plain,again", backend=backend)
        for _ in range(5)
        for backend in ("default", "celery")
    ]
    assert [answer.refused for answer in answers] == [0] * len(answers)
    system.slowest_request = max(answer.seconds for answer in answers)
    assert system.slowest_request < NOISE * REQUEST_SECONDS


def survive(
    system: FaultSystem, break_it: Callable[[], None], mend_it: Callable[[], None]
) -> float:
    """Break the broker while it holds tasks; return when it was back."""
    # Tasks that take no time would be done as soon as they are sent, where each is confirmed.
    system.env |= {"BROKER_SECONDS": "1", "SECONDS_SCALE": "1"}
    web, worker = system.up()

    def held() -> bool:
        return system.ledger.count("end") >= 20 and system.queues.queued() > 20

    # More come as long as the worker is done with all before that is seen.
    with Load(lambda: web, n=200, threads=1, pause=1.0, backend="celery", seconds=0.02):
        wait_until(held, "the broker holds tasks, and some have ended")
        break_it()
    accept_meanwhile(system, web)
    mend_it()
    # Kombu 5.7 has a worker end itself, sooner or later, that loses the broker while tasks are not
    # acknowledged.
    system.supervise(worker)
    return time.monotonic()


def test_a_broker_that_comes_back_empty(on_postgres: FaultSystem, report: Report) -> None:
    broker = on_postgres.queues

    def mend() -> None:
        broker.empty()
        broker.start()

    returned = survive(on_postgres, broker.kill, mend)
    report("broker killed, restarted empty", on_postgres, returned, RETURN_SECONDS)


@pytest.mark.slow_fault
def test_a_broker_that_comes_back_with_its_file(on_sqlite: FaultSystem, report: Report) -> None:
    broker = on_sqlite.queues
    returned = survive(on_sqlite, broker.kill, broker.start)
    report("broker killed, restarted", on_sqlite, returned, RETURN_SECONDS)


@pytest.mark.slow_fault
def test_a_broker_that_is_restarted_in_order(on_sqlite: FaultSystem, report: Report) -> None:
    broker = on_sqlite.queues
    returned = survive(on_sqlite, broker.stop, broker.start)
    report("broker stopped, started", on_sqlite, returned, RETURN_SECONDS)


@pytest.mark.slow_fault
def test_a_broker_that_hangs(on_postgres: FaultSystem, report: Report) -> None:
    broker = on_postgres.queues

    def mend() -> None:
        time.sleep(HUNG_SECONDS)
        broker.wake()

    returned = survive(on_postgres, broker.hang, mend)
    report("broker hangs for 20 s", on_postgres, returned, RETURN_SECONDS)


@pytest.mark.slow_fault
def test_a_broker_that_is_cut_off(on_postgres: FaultSystem, report: Report) -> None:
    """What was on its way is lost, and for a while nothing gets through."""
    wire = Wire(on_postgres.queues.port)
    on_postgres.env |= on_postgres.queues.env(wire)

    def cut() -> None:
        wire.hold()
        wire.cut()

    def mend() -> None:
        time.sleep(HUNG_SECONDS)
        wire.cut()
        wire.release()

    with closing(wire):
        returned = survive(on_postgres, cut, mend)
        report("broker cut off for 20 s", on_postgres, returned, RETURN_SECONDS)


@pytest.mark.slow_fault
@pytest.mark.parametrize("rabbitmq", KINDS)
def test_a_broker_that_is_out_of_memory(
    on_postgres: FaultSystem, report: Report, rabbitmq: str
) -> None:
    """RabbitMQ takes connections then, and reads nothing of what they publish."""
    assert isinstance(on_postgres.queues, Rabbit)
    node = on_postgres.queues.node

    def mend() -> None:
        time.sleep(HUNG_SECONDS)
        node.enough_memory()

    returned = survive(on_postgres, node.out_of_memory, mend)
    report("broker out of memory for 20 s", on_postgres, returned, RETURN_SECONDS)


@pytest.mark.slow_fault
def test_a_broker_that_was_never_there(on_sqlite: FaultSystem, report: Report) -> None:
    on_sqlite.queues.stop()
    on_sqlite.env |= {"BROKER_SECONDS": "1"}
    web = on_sqlite.web()
    on_sqlite.relay()
    accept_meanwhile(on_sqlite, web)
    accept(web, 200)
    on_sqlite.queues.start()
    on_sqlite.prefork()
    returned = time.monotonic()
    report("broker refuses", on_sqlite, returned, RETURN_SECONDS)
