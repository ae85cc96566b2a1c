"""Rows of tasks that have ended, will be tried again, or must not run."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from hybrid_tasks.outbox import claims, inserts, table
from hybrid_tasks.outbox.inserts import NewRow
from hybrid_tasks.relay import interventions
from hybrid_tasks.results import states
from hybrid_tasks.results.task_result import TaskResult
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.outbox.rows import (
    ALL,
    LEASE,
    InState,
    State,
    about,
    add,
    change,
    is_dead,
    is_scheduled,
    make,
    row,
    seconds_left,
    waits,
)

pytestmark = pytest.mark.usefixtures("database")


def tried(result: TaskResult) -> TaskResult:
    """Return the result after an attempt that failed."""
    return states.to_retry(states.started(result, "worker"), ValueError("not yet"))


def kept(task_id: str) -> dict[str, Any]:
    return row(task_id).content


def test_a_postponed_attempt_is_the_relays_when_its_time_has_come() -> None:
    result = add("me", task=tasks.succeed_at)
    claims.postpone(tried(result), "me", LEASE)
    assert (row(result.id).state, row(result.id).claimed_by) == (State.WAITING, "")
    assert about(result.id, LEASE)
    assert kept(result.id)["errors"][0][0] == "builtins.ValueError"


def test_a_failure_is_noted_and_the_row_stays_held() -> None:
    result = add("me", task=tasks.succeed_at)
    claims.note_failure(tried(result), "me")
    assert claims.held_by("me") == {result.id}
    assert kept(result.id)["errors"][0][0] == "builtins.ValueError"
    assert about(result.id, LEASE)


@pytest.mark.parametrize("lose", ALL)
def test_what_is_lost_is_left_as_it_is(lose: InState) -> None:
    """Whoever hung so long that others took his row over must not spoil their work."""
    result = add("me", task=tasks.succeed_at)
    lose(result.id)
    before = table.rows().values().get()
    claims.postpone(tried(result), "me", 0)
    claims.note_failure(tried(result), "me")
    claims.remove([result.id], "me")
    claims.release([result.id], "me")
    assert claims.bury(result.id, "{}", "me") is False
    assert table.rows().values().get() == before


def test_what_has_ended_is_removed() -> None:
    ours, others = add("me"), add("you")
    claims.remove([ours.id, others.id, "unknown"], "me")
    assert [found.pk for found in table.rows()] == [others.id]


@pytest.mark.parametrize("state", [State.CLAIMED, State.SENT])
def test_what_has_failed_for_good_is_kept(state: str) -> None:
    result = add("me")
    change(result.id, state=state)
    failed = states.failed(result, ValueError("bad meat"))
    assert claims.bury(result.id, states.encode(failed), "me") is True
    found = row(result.id)
    assert (found.state, found.claimed_by) == (State.DEAD, "me")
    assert "bad meat" in found.errors[0][1]
    assert not table.rows().due().exists()
    assert claims.bury(result.id, "{}", "me") is False


def test_a_dead_letter_is_run_again_with_all_its_attempts() -> None:
    result = add("me", task=tasks.succeed_at)
    failed = states.failed(states.started(result, "worker"), ValueError("bad meat"))
    claims.bury(result.id, states.encode(failed), "me")
    change(result.id, attempts=3, sends=5)
    alive = add("me")
    assert interventions.revive([result.id, alive.id, "unknown"]) == 1
    found = row(result.id)
    assert (found.state, found.claimed_by, found.attempts, found.sends) == (State.WAITING, "", 0, 0)
    assert seconds_left(result.id) <= 0
    again = states.decode(found.message)
    assert (again.status, again.attempts, again.started_at) == ("READY", 0, None)
    assert [error.exception_class for error in again.errors] == [ValueError]
    assert row(alive.id).state == State.CLAIMED


@pytest.mark.parametrize("state", ALL)
def test_only_what_waits_can_be_withdrawn(state: InState) -> None:
    result = add("me")
    state(result.id)
    there = state in (waits, is_scheduled)
    assert claims.withdraw(result.id, "me") is there
    assert table.rows().exists() is not there
    assert claims.withdraw(result.id, "me") is False


def test_discarding_asks_nobody() -> None:
    ids = [add("me").id, add().id]
    is_dead(ids[1])
    assert claims.discard([*ids, "unknown"]) == 2
    assert not table.rows().exists()


def test_what_is_hastened_runs_at_once() -> None:
    result = make(run_after=timezone.now() + timedelta(seconds=LEASE))
    inserts.insert([NewRow(result, run_after=result.task.run_after)])
    claimed = add("me")
    assert interventions.hasten([result.id, claimed.id, "unknown"]) == 1
    assert seconds_left(result.id) <= 0
    assert json.loads(row(result.id).message)["task"]["run_after"] is None
    assert about(claimed.id, LEASE)
