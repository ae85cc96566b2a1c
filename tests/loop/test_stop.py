"""An orderly stop: what was accepted ends, here or in a worker."""

import signal
import socket

import httpx
import pytest

from tests.loop.system import System
from tests.processes import PATIENCE, wait_until

THREADS = ("--pool", "threads", "--concurrency", "2")


def test_a_stop_under_load_lets_what_runs_end_and_hands_over_what_waits(system: System) -> None:
    web = system.web(
        {"max_running": 500, "max_waiting": 5000, "drain_timeout": 60, "overflow": "celery"}
    )
    ids = web.enqueue(2500, task="wait_for_gate", seconds=0.2)
    system.ledger.wait_for("start", 500)
    web.process.popen.terminate()
    web.process.wait_for("handed 2000 tasks over")
    assert system.ledger.count("end") == 0
    system.open_gate()
    assert web.process.popen.wait(PATIENCE) == -signal.SIGTERM

    on_loop = system.ledger.ids("end", "loop@")
    assert on_loop.total() == 500, web.process.output()
    system.worker(*THREADS)
    system.ledger.wait_for("end", 2500)
    system.ledger.assert_each_ended_once(ids)
    assert system.ledger.ids("end", "celery@").total() == 2500 - on_loop.total()


def test_the_hand_over_of_all_that_may_wait_by_default_is_in_time(system: System) -> None:
    # Thrice the time that they have by default, for a machine that is as much slower.
    web = system.web({"max_running": 1, "overflow": "celery", "drain_timeout": 60})
    ids = web.enqueue(10_001, task="wait_for_gate", seconds=0.2)
    web.process.popen.terminate()
    web.process.wait_for("handed 10000 tasks over")
    system.open_gate()
    assert web.process.popen.wait(PATIENCE) == -signal.SIGTERM
    on_loop = system.ledger.ids("end", "loop@")
    assert on_loop.total() == 1
    assert sorted([*on_loop.elements(), *system.queued_ids()]) == sorted(ids)


def test_a_task_that_is_interrupted_starts_over_in_a_worker_if_it_may(system: System) -> None:
    web = system.web({"drain_timeout": 0.2, "overflow": "celery"})
    ids = web.enqueue(20, seconds=60, task="wait_again")
    system.ledger.wait_for("start", 20)
    web.process.stop()
    assert system.ledger.count("end") == 0
    system.worker(*THREADS)
    system.ledger.wait_for("end", 20)
    assert sorted(system.ledger.ids("end", "celery@").elements()) == sorted(ids)
    assert sorted(system.ledger.ids("start", "celery@").elements()) == sorted(ids)


def test_without_overflow_what_waits_is_done_before_the_end(system: System) -> None:
    web = system.web({"max_running": 10, "drain_timeout": 20})
    ids = web.enqueue(100, seconds=0.1)
    web.process.stop()
    system.ledger.assert_each_ended_once(ids)


@pytest.mark.parametrize("how", ["until_stopping", "stopping"])
def test_a_stream_that_ends_itself_does_not_hold_up_a_stop(system: System, how: str) -> None:
    web = system.web({"drain_timeout": 5})
    with httpx.stream("GET", f"{web.url}/stream?how={how}", timeout=30) as response:
        lines = response.iter_lines()
        assert next(lines) == "data: hello"
        web.process.popen.terminate()
        assert "data: goodbye" in list(lines)
    assert web.process.popen.wait(timeout=30) == -signal.SIGTERM
    assert system.ledger.ids("stopping") == {how: 1}


def test_a_client_that_leaves_cancels_the_view_and_not_its_task(system: System) -> None:
    web = system.web({})
    port = int(web.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET /hang?seconds=2 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        system.ledger.wait_for("hang", 1)
    system.ledger.wait_for("cancelled", 1)
    system.ledger.wait_for("end", 1)
    (hung,) = system.ledger.ids("hang")
    system.ledger.assert_each_ended_once([hung])
    wait_until(lambda: "pong" in httpx.get(f"{web.url}/ping").text, "the server answers others")
