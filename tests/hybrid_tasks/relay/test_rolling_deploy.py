"""What the relay does with rows that this version cannot read, beside others that it can."""

import json
from typing import Any

import pytest
from django.tasks import TaskResultStatus
from pytest_django import Settings

from hybrid_tasks.finding import hybrid_backend
from hybrid_tasks.outbox import table
from hybrid_tasks.relay import Relayed, relay
from hybrid_tasks.relay.relaying import UNKNOWN_SENDS
from hybrid_tasks.results import states
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.outbox.rows import State, about, add, change, expire, row, row_states
from tests.hybrid_tasks.taker import taken, use_with_taker

pytestmark = pytest.mark.usefixtures("with_taker")


@pytest.fixture
def with_taker(outbox: str, settings: Settings) -> None:
    use_with_taker(settings, lease=LEASE)


LEASE = 30.0  # seconds: it doubles with each sending, and half an hour is enough


def unknown(kind: str) -> str:
    """Return the id of a row of a task that only another version knows."""
    result = add()
    content = json.loads(row(result.id).message)
    if kind == "path":
        content["task"]["path"] = "tests.hybrid_tasks.tasks.of_the_next_version"
    elif kind == "module":
        content["task"]["path"] = "next_version.tasks.send"
    elif kind == "status":
        content["status"] = "PAUSED"
    message = {"empty": "{}", "text": "no JSON", "list": "[]"}.get(kind, json.dumps(content))
    change(result.id, message=message)
    return result.id


KINDS = ["path", "module", "status", "empty", "text", "list"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_this_version_does_not_know_waits_for_one_that_does(kind: str) -> None:
    """C19: it was a dead letter at once, at 0 attempts."""
    task_id = unknown(kind)
    assert relay() == Relayed()
    assert row_states() == {task_id: State.SENT}
    assert (row(task_id).sends, row(task_id).attempts) == (1, 0)
    assert taken == []
    expire(task_id)
    relay()
    assert (row(task_id).state, row(task_id).sends) == (State.SENT, 2)
    assert about(task_id, 60)


@pytest.mark.parametrize("kind", KINDS)
def test_what_no_version_knows_is_a_dead_letter_in_the_end(kind: str) -> None:
    """C19: with what is wrong, and what it held."""
    task_id = unknown(kind)
    message = row(task_id).message
    for sends in range(1, UNKNOWN_SENDS):
        assert relay() == Relayed()
        assert (row(task_id).state, row(task_id).sends) == (State.SENT, sends)
        expire(task_id)
    assert relay() == Relayed(dead=1)
    dead = row(task_id)
    assert (dead.state, dead.attempts) == (State.DEAD, 0)
    assert dead.errors[-1][0]
    held = json.loads(message) if kind in KINDS[:3] else message
    assert dead.content.get("unreadable", {**dead.content, "errors": [], "status": ""}) == (
        {**held, "errors": [], "status": ""} if isinstance(held, dict) else message
    )


@pytest.mark.parametrize("kind", KINDS)
def test_it_holds_up_no_other(kind: str) -> None:
    """C19: a row whose message is `{}` made the relay raise after its batch was marked as sent."""
    before, bad, after = add(priority=1), unknown(kind), add(priority=-1)
    assert relay() == Relayed(sent=2)
    assert [one.id for one in taken] == [before.id, after.id]
    assert row_states() == dict.fromkeys((before.id, bad, after.id), State.SENT)


def test_what_the_next_version_does_not_know_any_more_can_be_rolled_back() -> None:
    """C19: the version that knows it runs it, whatever the other has tried meanwhile."""
    task_id = unknown("path")
    for _ in range(UNKNOWN_SENDS - 1):
        relay()
        expire(task_id)
    content = json.loads(row(task_id).message)
    content["task"]["path"] = tasks.echo.module_path
    change(task_id, message=json.dumps(content))
    assert relay() == Relayed(sent=1)
    assert [one.id for one in taken] == [task_id]


def end_elsewhere(result: Any, attempts: int = 1) -> None:
    """Let a worker have told the end of a task, and not have removed its row yet."""
    started = states.attempted(states.started(result, "a worker"), attempts)
    hybrid_backend("default").store.save([states.succeeded(started, "done")])


def test_a_result_that_a_worker_has_ended_is_not_made_ready_again() -> None:
    """C11: 1 of 600, with a backlog longer than a lease."""
    result = add()
    change(result.id, attempts=1, max_attempts=2)
    end_elsewhere(result)
    relay()
    kept = hybrid_backend("default").store.load(result.id)
    assert (kept.status, kept.return_value) == (TaskResultStatus.SUCCESSFUL, "done")


def test_a_task_that_has_told_its_success_is_no_dead_letter() -> None:
    """C11: its worker died between the result and the row."""
    result = add()
    change(result.id, attempts=1)
    end_elsewhere(result)
    assert relay() == Relayed()
    assert row_states() == {}
    kept = hybrid_backend("default").store.load(result.id)
    assert kept.status == TaskResultStatus.SUCCESSFUL


def test_a_row_that_tells_the_end_is_no_task_to_run() -> None:
    """C11: a message of a task that has failed for good is not sent again."""
    result = add()
    change(result.id, message=states.encode(states.failed(result, ValueError("bad"))))
    relay()
    assert taken == []
    assert table.rows([result.id]).get().state == State.DEAD
