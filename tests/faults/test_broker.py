"""A broker that is not there, hangs, or comes back with all or nothing of what it had."""

import time
from collections.abc import Callable

import pytest

from tests.faults.conftest import Report
from tests.faults.system import FaultSystem, Load, accept
from tests.loop.system import Web
from tests.processes import wait_until

REQUEST_SECONDS = 2.0  # that a request may take, whatever the broker does
NOISE = 4  # times as long may it take where processes hang for seconds
HUNG_SECONDS = 20.0
RETURN_SECONDS = 20.0  # within which all is done after the broker's return


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
    system.env |= {"BROKER_SECONDS": "1"}
    web, worker = system.up()

    def held() -> bool:
        return system.ledger.count("end") >= 20 and len(system.queued_ids()) > 20

    # More come as long as the worker is done with all before that is seen.
    with Load(lambda: web, n=200, threads=1, pause=1.0, backend="celery"):
        wait_until(held, "the broker holds tasks, and some have ended")
        break_it()
    accept_meanwhile(system, web)
    mend_it()
    # Kombu 5.7 has a worker end itself, sooner or later, that loses the broker while tasks are not
    # acknowledged.
    system.supervise(worker)
    return time.monotonic()


def test_a_broker_that_comes_back_empty(on_postgres: FaultSystem, report: Report) -> None:
    def kill() -> None:
        on_postgres.kill(on_postgres.broker)

    def mend() -> None:
        on_postgres.empty_broker()
        on_postgres.start_broker()

    returned = survive(on_postgres, kill, mend)
    report("broker killed, restarted empty", on_postgres, returned, RETURN_SECONDS)


@pytest.mark.slow_fault
def test_a_broker_that_comes_back_with_its_file(on_sqlite: FaultSystem, report: Report) -> None:
    def kill() -> None:
        on_sqlite.kill(on_sqlite.broker)

    returned = survive(on_sqlite, kill, on_sqlite.start_broker)
    report("broker killed, restarted", on_sqlite, returned, RETURN_SECONDS)


@pytest.mark.slow_fault
def test_a_broker_that_hangs(on_postgres: FaultSystem, report: Report) -> None:
    def mend() -> None:
        time.sleep(HUNG_SECONDS)
        on_postgres.wake_broker()

    returned = survive(on_postgres, on_postgres.hang_broker, mend)
    report("broker hangs for 20 s", on_postgres, returned, RETURN_SECONDS)


@pytest.mark.slow_fault
def test_a_broker_that_was_never_there(on_sqlite: FaultSystem, report: Report) -> None:
    on_sqlite.kill(on_sqlite.broker)
    on_sqlite.env |= {"BROKER_SECONDS": "1"}
    web = on_sqlite.web()
    on_sqlite.relay()
    accept_meanwhile(on_sqlite, web)
    accept(web, 200)
    on_sqlite.start_broker()
    on_sqlite.prefork()
    returned = time.monotonic()
    report("broker refuses", on_sqlite, returned, RETURN_SECONDS)
