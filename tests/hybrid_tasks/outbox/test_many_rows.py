"""What is done to several rows is done to each of them, and each is told its own outcome."""

import pytest

from hybrid_tasks.outbox import claims, writes
from hybrid_tasks.outbox.writes import Kind, Write
from hybrid_tasks.results import states
from tests.hybrid_tasks.outbox.rows import (
    ABOUT,
    LEASE,
    State,
    about,
    add,
    add_many,
    change,
    row,
    seconds_left,
)

pytestmark = pytest.mark.usefixtures("database")


def claim(task_id: str, *, tried: bool) -> Write:
    return Write(Kind.CLAIM, task_id, seconds=LEASE, tried=tried)


def test_renewals_in_several_statements_are_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "RENEWED_AT_ONCE", 2)
    ids = add_many(5, "me")
    assert claims.renew([*ids, add("you").id], "me", 2 * LEASE) == 5
    assert all(about(task_id, 2 * LEASE) for task_id in ids)


def test_what_a_process_holds_is_told_by_ids() -> None:
    ids = set(add_many(2, "me"))
    add("you")
    sent = add("me").id
    change(sent, state=State.SENT)
    assert claims.held_by("me") == ids


def test_a_dead_letter_is_of_the_moment_in_which_it_died() -> None:
    result = add("me")
    assert about(result.id, LEASE)
    assert claims.bury(result.id, "{}", "me")
    assert -ABOUT < seconds_left(result.id) <= 0


def test_a_claim_whose_answer_was_lost_is_ours_all_the_same() -> None:
    """Also beside other rows that this process holds."""
    add_many(2, "me")
    sent = [add("you", max_attempts=3).id for _ in range(2)]
    for task_id in sent:
        change(task_id, state=State.SENT)
        assert claims.claim_delivered(task_id, "me", LEASE)
    again = [claim(task_id, tried=True) for task_id in sent]
    writes.claim(again, "me")
    assert [write.outcome.pk for write in again] == sent


def test_a_claim_that_was_never_made_is_not_ours_because_we_hold_the_row() -> None:
    held = claim(add("me").id, tried=False)
    writes.claim([held], "me")
    assert held.outcome is None


def test_each_start_is_told_for_itself() -> None:
    ours, theirs = add("me"), add("you")
    asked = [Write(Kind.START, it.id, seconds=LEASE, attempt=1) for it in (ours, theirs)]
    writes.start(asked, "me")
    assert [write.outcome for write in asked] == [True, False]


def test_each_failure_is_noted_in_its_own_row() -> None:
    results = [add("me", max_attempts=3) for _ in range(2)]
    noted = [states.to_retry(states.started(it, "w"), ValueError(it.id)) for it in results]
    writes.note_failure([Write(Kind.NOTE_FAILURE, it.id, result=it) for it in noted], "me")
    for result in noted:
        assert row(result.id).message == states.encode(result)


def test_what_dies_is_buried_each_with_its_own_end() -> None:
    ended = [states.failed(add("me"), ValueError(str(number))) for number in range(2)]
    theirs = states.failed(add("you"), ValueError("theirs"))
    asked = [Write(Kind.BURY, it.id, result=it) for it in (*ended, theirs)]
    writes.bury(asked, "me")
    assert [write.outcome for write in asked] == [True, True, False]
    for result in ended:
        assert (row(result.id).state, row(result.id).message) == (
            State.DEAD,
            states.encode(result),
        )
