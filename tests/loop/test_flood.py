"""More tasks than the loop takes, a broker that hangs, and what is left of it all afterwards."""

import signal
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from statistics import median

import httpx
import psutil

from tests.loop.system import DJANGO, System
from tests.processes import PATIENCE, wait_until

THREADS = ("--pool", "threads", "--concurrency", "2")

type Record = Callable[[str, object], None]


def test_a_flood_blocks_no_caller_and_leaves_no_memory_behind(
    system: System, record_property: Record
) -> None:
    # Most go to the loop, for a worker needs some 3 ms of a core for each of its share.
    system.worker(*THREADS)
    web = system.web({"max_running": 100, "max_waiting": 1000, "overflow": "celery"})
    process = psutil.Process(web.process.pid)
    ids: list[str] = []
    memory: list[int] = []
    for wave in range(1, 6):
        answer = web.get("enqueue", n=10_000, burst=1500, period=10_000)
        ids += answer["ids"]
        record_property(f"wave {wave}", {"call": answer["call"], "lag": answer["lag"]})
        # Not the maximum: a call during which the machine did something else says nothing. And of
        # such a machine, one that shares out its time by tenths of a second takes a few.
        assert answer["call"]["p99"] < 0.05, answer
        assert answer["call"]["p999"] < 0.25, answer
        system.ledger.wait_for("end", len(ids), 90)
        memory.append(process.memory_info().rss)
    record_property("memory in MB", [round(size / 1e6, 1) for size in memory])
    system.ledger.assert_each_ended_once(ids)
    assert system.ledger.ids("end", "celery@").total() >= 5 * 400
    # Half a kilobyte for each task after the first wave: less than one result. In the middle, for
    # a wave in which the threads got less time than in others leaves a peak behind.
    assert median(after - before for before, after in pairwise(memory)) < 5e6, memory


def test_a_broker_that_hangs_holds_up_neither_requests_nor_the_loop(
    system: System, record_property: Record
) -> None:
    system.env["BROKER_SECONDS"] = "1"
    system.worker(*THREADS)
    web = system.web({"max_running": 20, "max_waiting": 100, "overflow": "celery"})
    relay = [*DJANGO, "relay_outbox", "--interval", "0.5"]  # for what the broker did not take
    relay_env = system.env | {"LOOP_OPTIONS": '{"overflow": "celery"}'}
    relaying = system.start(relay, relay_env)
    relaying.wait_for("until stopped")
    before = web.get("enqueue", n=1000, seconds=0.2, pause=0.001)
    system.ledger.wait_for("end", 1000)
    relaying.stop()

    system.broker.popen.send_signal(signal.SIGSTOP)
    # For so long that the broker's time limit, 1 s, runs out again and again meanwhile.
    hung = web.get("enqueue", n=1000, seconds=0.2, pause=0.003)
    assert httpx.get(f"{web.url}/ping", timeout=PATIENCE).text == "pong"
    # What the loop took ends while the broker still hangs.
    system.ledger.wait_for("end", 1120)
    system.broker.popen.send_signal(signal.SIGCONT)

    record_property("lag", {"before": before["lag"], "hung": hung["lag"]})
    record_property("call", {"before": before["call"], "hung": hung["call"]})
    # A loop that once waited for the broker would have been late by its time limit, 1 s.
    assert hung["lag"]["blocked"] < 0.5
    assert hung["lag"]["p99"] < 5 * before["lag"]["p99"] + 0.1
    system.start(relay, relay_env)
    system.ledger.wait_for("end", 2000)
    wait_until(lambda: not system.queued_ids(), "the broker has no task left")
    system.ledger.assert_each_ended_once(before["ids"] + hung["ids"])


def test_a_worker_that_is_quick_has_the_last_word_on_a_result(system: System) -> None:
    system.worker(*THREADS)
    web = system.web({"max_running": 1, "max_waiting": 0, "overflow": "celery"})
    ids = web.enqueue(300, seconds=0.1, pause=0.005)
    system.ledger.wait_for("end", 300)
    assert system.ledger.ids("end", "celery@").total() > 100
    wait_until(lambda: web.statuses(ids) == {"SUCCESSFUL": 300}, "all results are there")


def test_what_a_hung_broker_was_told_twice_runs_once(system: System) -> None:
    system.env["BROKER_SECONDS"] = "1"
    worker = system.worker(*THREADS, SECONDS_SCALE="1")
    options = {"max_running": 1, "max_waiting": 0, "overflow": "celery"}
    web = system.web(options)
    ids = web.enqueue(2, seconds=0.1)  # the publisher has a connection afterwards
    system.ledger.wait_for("end", 2)

    system.broker.popen.send_signal(signal.SIGSTOP)
    ids += web.enqueue(2, seconds=4)
    web.process.wait_for("does not take tasks")
    system.broker.popen.send_signal(signal.SIGCONT)
    # What was given up went to the outbox, though the broker had got it.
    wait_until(
        lambda: "1 sent" in system.manage(options, "relay_outbox", "--once"), "it is sent again"
    )
    worker.wait_for(f"tests.loop.tasks.wait[{ids[-1]}] received", times=2)
    system.ledger.wait_for("end", 4)
    system.ledger.assert_each_ended_once(ids)
    assert "TaskInterrupted" not in worker.output()


def database_files(process: psutil.Process, path: Path) -> int:
    return sum(file.path.startswith(str(path)) for file in process.open_files())


def test_tasks_that_use_the_orm_leave_no_connection_open(
    system: System, record_property: Record
) -> None:
    web = system.web({"max_running": 50})
    process = psutil.Process(web.process.pid)
    path = system.directory / "db.sqlite3"
    web.enqueue(1)  # the threads that serve all tasks are there afterwards
    system.ledger.wait_for("end", 1)
    wait_until(lambda: not database_files(process, path), "what the start used is closed")
    threads = process.num_threads()

    ids = web.enqueue(1000, task="use_database", seconds=0.1)
    wait_until(lambda: database_files(process, path) >= 10, "tasks use the database")
    system.open_gate()
    system.ledger.wait_for("end", 1001)
    assert set(ids) < set(system.ledger.ids("end"))
    wait_until(lambda: not database_files(process, path), "the connections are closed")
    wait_until(lambda: process.num_threads() <= threads + 1, "their threads are gone")
