"""Rows whose tasks are the broker's."""

import pytest

from hybrid_tasks.outbox import claims, table
from tests.hybrid_tasks.outbox.rows import (
    ALL,
    InState,
    State,
    about,
    add,
    change,
    expire,
    row,
    seconds_left,
)

pytestmark = pytest.mark.usefixtures("database")


def test_what_is_held_is_marked_and_all_else_refused() -> None:
    ours, others = add("me"), add("you")
    assert claims.mark_sent({ours.id, others.id, "unknown"}, "me", 900) == {ours.id}
    assert (row(ours.id).state, row(ours.id).sends) == (State.SENT, 1)
    assert about(ours.id, 900)
    assert (row(others.id).state, row(others.id).sends) == (State.CLAIMED, 0)


@pytest.mark.parametrize("lose", ALL)
def test_what_is_lost_is_not_sent(lose: InState) -> None:
    result = add("me")
    lose(result.id)
    assert claims.mark_sent({result.id}, "me", 900) == set()
    assert row(result.id).sends == 0


def test_each_sending_gives_the_broker_twice_the_time() -> None:
    result = add("me")
    for sends, lease in enumerate([600, 1200, 2400, 3600, 3600]):
        change(result.id, state=State.CLAIMED, claimed_by="me")
        assert row(result.id).sends == sends
        assert claims.mark_sent({result.id}, "me", 600) == {result.id}
        assert about(result.id, lease)


def test_an_hour_is_the_most_however_often_it_was_sent() -> None:
    result = add("me")
    change(result.id, sends=10_000)
    claims.mark_sent({result.id}, "me", 30)
    assert about(result.id, 3600)


def test_leases_of_a_second_stay_short_at_first() -> None:
    result = add("me")
    claims.mark_sent({result.id}, "me", 1)
    assert seconds_left(result.id) <= 1


def test_what_was_sent_in_vain_goes_back_to_the_relay_as_if_it_had_not() -> None:
    """A broker that is away for an hour must not make the first message after it wait as long."""
    result = add("me")
    for _ in range(20):
        change(result.id, state=State.CLAIMED, claimed_by="me")
        claims.mark_sent({result.id}, "me", 600)
        claims.release([result.id], "me")
        assert (row(result.id).state, row(result.id).claimed_by) == (State.WAITING, "")
        assert seconds_left(result.id) <= 0
    change(result.id, state=State.CLAIMED, claimed_by="me")
    claims.mark_sent({result.id}, "me", 600)
    assert about(result.id, 600)


def test_a_process_releases_what_its_relay_has_sent() -> None:
    result = add("me:17")
    claims.mark_sent({result.id}, "me:17", 600)
    claims.release([result.id], "me")
    assert row(result.id).state == State.WAITING


def test_what_a_worker_has_claimed_meanwhile_is_not_released() -> None:
    result = add("me")
    claims.mark_sent({result.id}, "me", 600)
    assert claims.claim_delivered(result.id, "worker", 600)
    claims.release([result.id], "me")
    assert (row(result.id).state, row(result.id).claimed_by) == (State.CLAIMED, "worker")


def test_what_is_held_is_released() -> None:
    ours, others = add("me"), add("you")
    claims.release([ours.id, others.id, "unknown"], "me")
    assert [found.pk for found in table.rows().due()] == [ours.id]
    assert row(others.id).state == State.CLAIMED


def test_what_another_process_has_sent_is_not_released() -> None:
    result = add("you")
    claims.mark_sent({result.id}, "you", 600)
    claims.release([result.id], "me")
    assert row(result.id).state == State.SENT


def test_what_is_sent_comes_due_again() -> None:
    result = add("me")
    claims.mark_sent({result.id}, "me", 600)
    assert not table.rows().due().exists()
    expire(result.id)
    taken = claims.take_due("relay", 10, ["default"], claims.sent_by("relay", 600))
    assert [found.pk for found in taken] == [result.id]
    assert about(result.id, 1200)
