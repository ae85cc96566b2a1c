"""Processes without a server's event loop: nothing accepted is lost there either."""

import signal

import pytest

from tests.loop.system import DJANGO, System, Web

WORKER = ("--pool", "threads", "--concurrency", "2")
OVERFLOWS = pytest.mark.parametrize("overflow", ["celery", None])


def runserver(system: System, overflow: str | None) -> Web:
    return system.web(
        {"overflow": overflow},
        [*DJANGO, "runserver", "--noreload"],
        port_option="127.0.0.1:{port}",
        ready="Quit the server",
    )


@OVERFLOWS
def test_runserver_loses_no_task_when_the_loop_of_a_view_ends(
    system: System, overflow: str | None
) -> None:
    if overflow:
        system.worker(*WORKER)
    web = runserver(system, overflow)
    ids = web.enqueue(20, seconds=0.3)
    ids += web.get("enqueue_sync", seconds=0.3)["ids"]
    system.ledger.wait_for("end", 21)
    system.ledger.assert_each_ended_once(ids)
    who = "celery@" if overflow else "loop@"
    assert system.ledger.ids("end", who).total() == 21


def test_runserver_ends_its_tasks_before_it_ends(system: System) -> None:
    web = runserver(system, overflow=None)
    ids = web.enqueue(20, seconds=1)
    system.ledger.wait_for("start", 20)
    web.process.popen.send_signal(signal.SIGINT)
    assert web.process.popen.wait(timeout=30) == 0
    system.ledger.assert_each_ended_once(ids)


def ids_in(output: str) -> list[str]:
    return [line.removeprefix("id ") for line in output.splitlines() if line.startswith("id ")]


@OVERFLOWS
def test_a_command_that_enqueues_and_exits_loses_none(system: System, overflow: str | None) -> None:
    ids = ids_in(system.manage({"overflow": overflow}, "enqueue_many", "50", "0.3"))
    assert len(ids) == 50
    if overflow:
        assert system.ledger.count("start") == 0
        system.worker(*WORKER)
        system.ledger.wait_for("end", 50)
    system.ledger.assert_each_ended_once(ids)


def test_the_first_tasks_of_a_process_may_come_from_many_threads_at_once(system: System) -> None:
    ids = ids_in(system.manage({}, "enqueue_many", "16", "0.1", "--at-once"))
    assert len(ids) == 16
    system.ledger.assert_each_ended_once(ids)
