"""Who hears of a task that has failed for good, and in which thread."""

import threading
from typing import Any

import pytest
from django.db import connections

from hybrid_tasks.outbox import dead_letters, table
from hybrid_tasks.outbox.dead_letters import Announcer, tell_from_thread
from hybrid_tasks.results.task_result import TaskResult
from hybrid_tasks.runtime import Runtime
from hybrid_tasks.signals import task_dead
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.outbox.rows import make
from tests.hybrid_tasks.runtimes import own_runtime
from tests.processes import PATIENCE

# The id that was told, the result, the sender and the name of the thread.
type Told = tuple[Any, Any, Any, str]


@pytest.fixture
def told() -> Any:
    heard: list[Told] = []

    def hear(sender: Any, task_id: str, task_result: Any, **_: Any) -> None:
        heard.append((task_id, task_result, sender, threading.current_thread().name))

    task_dead.connect(hear)
    yield heard
    task_dead.disconnect(hear)


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of threads that closed their connections."""
    names: list[str] = []
    monkeypatch.setattr(
        connections, "close_all", lambda: names.append(threading.current_thread().name)
    )
    return names


@pytest.mark.parametrize("threads", [True, False])
@pytest.mark.parametrize("known", [True, False])
def test_a_dead_letter_is_told_and_logged(
    known: bool,
    threads: bool,
    told: list[Told],
    closed: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    result: TaskResult | None = make(tasks.succeed_at) if known else None
    with own_runtime(Runtime(threads=threads)) as runtime:
        announcer = runtime.part(Announcer)
        announcer.announce("7", result)
        announcer._thread.shutdown()
    name = "hybrid-tasks-dead_0" if threads else threading.current_thread().name
    assert told == [("7", result, table.model(), name)]
    assert closed == ([name] if threads else [])
    path = tasks.succeed_at.module_path if known else "unknown"
    assert f"Task id=7 path={path} is a dead letter" in caplog.messages


def test_dead_letters_are_told_one_by_one_in_their_order(told: list[Told]) -> None:
    may_go_on = threading.Event()

    def hold(task_id: str, **_: Any) -> None:
        if task_id == "1":
            assert may_go_on.wait(PATIENCE)

    with own_runtime() as runtime:
        announcer = runtime.part(Announcer)
        task_dead.connect(hold)
        try:
            for task_id in "123":
                announcer.announce(task_id, None)
            # Whoever could run beside the first would have a thread by now.
            assert len(announcer._thread._threads) == 1
        finally:
            may_go_on.set()
            announcer._thread.shutdown()
            task_dead.disconnect(hold)
    assert [one[0] for one in told] == ["1", "2", "3"]


def test_a_receiver_that_raises_keeps_nobody_from_hearing(told: list[Told]) -> None:
    def fail(**_: Any) -> None:
        raise KeyError("bad")

    task_dead.connect(fail)
    try:
        dead_letters.tell("7", None)
    finally:
        task_dead.disconnect(fail)
    assert [one[0] for one in told] == ["7"]


def test_what_cannot_be_told_at_all_is_logged_and_ends_no_thread(
    closed: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    error = KeyError("bad")

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(dead_letters, "tell", fail)
    tell_from_thread("7", None)
    (logged,) = caplog.records
    assert logged.getMessage() == "Receivers were not told of dead letter 7"
    assert logged.exc_info is not None
    assert logged.exc_info[1] is error
    assert len(closed) == 1
