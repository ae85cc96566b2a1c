"""Who may run a task: claims, attempts and leases."""

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from hybrid_tasks.outbox import claims, table
from hybrid_tasks.outbox.claims import start_held
from hybrid_tasks.outbox.clock import After
from hybrid_tasks.relay import interventions
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.outbox.rows import (
    ALL,
    LEASE,
    InState,
    State,
    about,
    add,
    change,
    expire,
    is_claimed,
    is_dead,
    is_scheduled,
    is_sent,
    row,
    waits,
)

pytestmark = pytest.mark.usefixtures("database")


def test_an_attempt_is_counted_for_what_is_held_and_the_lease_is_new() -> None:
    ours, others = add("me"), add("you")
    expire(ours.id)
    assert start_held({ours.id, others.id}, "me", LEASE, 1) == {ours.id}
    assert (row(ours.id).attempts, row(others.id).attempts) == (1, 0)
    assert about(ours.id, LEASE)


@pytest.mark.parametrize("lose", ALL)
def test_no_attempt_is_counted_for_what_is_lost(lose: InState) -> None:
    result = add("me")
    lose(result.id)
    assert start_held({result.id}, "me", LEASE, 1) == set()
    assert row(result.id).attempts == 0


def test_what_is_gone_cannot_be_started() -> None:
    assert start_held({"unknown"}, "me", LEASE, 1) == set()


def test_an_attempt_that_is_counted_twice_is_one() -> None:
    """The answer to a commit may be lost; the writer then counts once more."""
    result = add("me")
    for attempt in (1, 1, 2, 2):
        assert start_held({result.id}, "me", LEASE, attempt) == {result.id}
        assert row(result.id).attempts == attempt
    for wrong in (1, 4):
        assert start_held({result.id}, "me", LEASE, wrong) == set()
        assert row(result.id).attempts == 2


@pytest.mark.parametrize("state", ALL)
def test_what_was_counted_in_vain_is_taken_back_unless_another_has_the_row(state: InState) -> None:
    result = add("me")
    state(result.id)
    change(result.id, attempts=2)
    claims.uncount(result.id, "me", 2)
    untaken = state in (waits, is_scheduled)
    assert row(result.id).attempts == (1 if untaken else 2)


def test_only_the_last_attempt_can_be_taken_back() -> None:
    result = add("me")
    change(result.id, attempts=2)
    for attempt, left in [(1, 2), (3, 2), (2, 1), (2, 1)]:
        claims.uncount(result.id, "me", attempt)
        assert row(result.id).attempts == left


@pytest.mark.parametrize("state", ALL)
def test_a_delivered_task_is_claimed_if_it_is_free(state: InState) -> None:
    result = add(task=tasks.succeed_at)
    state(result.id)
    before = row(result.id)
    won = claims.claim_delivered(result.id, "me", LEASE)
    if state in (is_scheduled, is_claimed, is_dead):
        assert won is None
        assert vars(row(result.id)).items() >= {
            ("state", before.state),
            ("claimed_by", before.claimed_by),
            ("attempts", 0),
            ("available_at", before.available_at),
        }
    else:
        assert won is not None
        assert (won.state, won.claimed_by, won.attempts) == (State.CLAIMED, "me", 1)
        assert about(result.id, LEASE)


def test_a_second_delivery_gets_nothing() -> None:
    result = add(task=tasks.succeed_at)
    is_sent(result.id)
    assert claims.claim_delivered(result.id, "me", LEASE)
    assert claims.claim_delivered(result.id, "you", LEASE) is None
    assert claims.claim_delivered(result.id, "me", LEASE) is None
    assert row(result.id).attempts == 1


@pytest.mark.parametrize("state", [waits, is_sent])
def test_a_delivered_task_without_attempts_left_is_not_claimed(state: InState) -> None:
    result = add(task=tasks.succeed_at)
    state(result.id)
    change(result.id, attempts=3)
    assert claims.claim_delivered(result.id, "me", LEASE) is None
    assert row(result.id).attempts == 3


def test_the_last_attempt_can_be_claimed() -> None:
    result = add(task=tasks.succeed_at)
    change(result.id, attempts=2)
    assert claims.claim_delivered(result.id, "me", LEASE) is not None


def test_a_delivered_task_whose_row_is_gone_is_not_claimed() -> None:
    assert claims.claim_delivered("unknown", "me", LEASE) is None


def test_a_lease_that_ran_out_goes_to_who_asks_first() -> None:
    result = add("dead process", task=tasks.succeed_at)
    assert claims.claim_delivered(result.id, "me", LEASE) is None
    expire(result.id)
    assert claims.claim_delivered(result.id, "me", LEASE) is not None
    assert claims.claim_delivered(result.id, "you", LEASE) is None
    assert start_held({result.id}, "dead process", LEASE, 1) == set()


def test_renewing_is_for_all_that_is_held_and_nothing_else() -> None:
    one, other, strange, sent = add("me"), add("me"), add("you"), add("me")
    expire(one.id, other.id, strange.id)
    change(sent.id, state=State.SENT, available_at=After(-1))
    asked = [one.id, other.id, strange.id, sent.id]
    assert claims.renew(asked, "me", LEASE) == 2
    assert about(one.id, LEASE)
    assert about(other.id, LEASE)
    assert {found.pk for found in table.rows().due()} == {strange.id, sent.id}
    assert claims.held_by("me") == {one.id, other.id}


def test_a_lease_that_has_ended_can_be_renewed_for_a_while() -> None:
    """While the database was away nobody could renew: the relay must not be the quicker one."""
    living, dead = add("living"), add("dead")
    past = After(-1)
    table.rows().update(available_at=past)
    assert not table.rows().due().exists()
    claims.mark_overdue(["default"], grace=LEASE)
    assert claims.claim_delivered(dead.id, "worker", LEASE) is None
    assert claims.renew([living.id], "living", LEASE) == 1
    table.rows().update(available_at=past)  # the grace is over, and the next lease too
    assert [found.pk for found in table.rows().due()] == [dead.id]


def test_rows_pass_to_another_name_of_their_holder() -> None:
    ours, others = add("me:1"), add("you")
    claims.pass_on([ours.id, others.id], "me:1", "me")
    assert claims.held_by("me") == {ours.id}
    assert claims.held_by("you") == {others.id}


def test_no_statement_changes_a_table_from_which_it_selects() -> None:
    """MySQL refuses that (1093), where MariaDB and the others do it."""
    result = add("me", task=tasks.succeed_at)
    connection = connections[table.alias()]
    with CaptureQueriesContext(connection) as statements:
        claims.mark_overdue(["default"], 1.0)
        claims.take_due("relay:1", 10, ["default"], claims.sent_by("relay:1", LEASE))
        claims.mark_sent([result.id], "me", LEASE)
        claims.claim_delivered(result.id, "me", LEASE)
        claims.claim_from("me", result.id, "me", LEASE)
        claims.renew([result.id], "me", LEASE)
        claims.uncount(result.id, "me", 1)
        claims.unclaim([result.id], "me")
        claims.take_back([result.id], "me")
        claims.note_failure(result, "me")
        claims.postpone(result, "me", 1.0)
        claims.release([result.id], "me")
        claims.remove_sent(result.id, "me")
        claims.bury(result.id, "{}", "me")
        claims.withdraw(result.id, "me")
        claims.discard_alive(result.id)
        claims.discard([result.id])
        interventions.retry([result.id])
    changing = [one["sql"] for one in statements if one["sql"].startswith(("UPDATE", "DELETE"))]
    assert len(changing) >= 15
    assert [sql for sql in changing if "SELECT" in sql] == []
