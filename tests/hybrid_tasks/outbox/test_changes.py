"""What each change leaves in a row: every column of it, and of several rows at once."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError, connections

from hybrid_tasks.outbox import claims, table
from hybrid_tasks.outbox.clock import After
from hybrid_tasks.results import states
from hybrid_tasks.results.task_result import TaskResult
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.outbox.rows import (
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

NEW = 700.0  # seconds of a lease or a delay, unlike any other here
WAITING = {"state": State.WAITING, "claimed_by": ""}
CLAIMED = {"state": State.CLAIMED, "claimed_by": "new"}

type Change = Callable[[TaskResult], Any]


def columns(task_id: str) -> dict[str, Any]:
    return dict(table.rows([task_id]).values().get())


def failed(result: TaskResult) -> TaskResult:
    return states.failed(result, ValueError("bad meat"))


def set_to(changes: dict[str, Any]) -> Change:
    return lambda it: table.rows([it.id]).update(**changes)


# What is done; how the row was before, but for what is so in all cases; what is different then;
# and the seconds after which it is available.
CHANGES: list[tuple[str, Change, dict[str, Any], dict[str, Any], float | None]] = [
    (
        "start_held",
        lambda it: claims.start_held({it.id}, "me", NEW, 3),
        {},
        {"attempts": 3, "sends": 0, "overdue": False},
        NEW,
    ),
    ("unclaim", lambda it: claims.unclaim({it.id}, "me"), {}, WAITING | {"attempts": 1}, 0.0),
    ("put_off", lambda it: claims.put_off(it.id, "me", NEW), {}, WAITING, NEW),
    ("left_waiting", lambda it: set_to(claims.left_waiting())(it), {}, WAITING, 0.0),
    ("uncount", lambda it: claims.uncount(it.id, "me", 2), {}, {"attempts": 1}, None),
    (
        "claim_delivered",
        lambda it: claims.claim_delivered(it.id, "new", NEW),
        {"state": State.SENT},
        CLAIMED | {"attempts": 3, "sends": 0, "overdue": False},
        NEW,
    ),
    (
        "claim_from",
        lambda it: claims.claim_from("m", it.id, "new", NEW),
        {},
        {"claimed_by": "new", "overdue": False},
        NEW,
    ),
    ("renew", lambda it: claims.renew({it.id}, "me", NEW), {}, {"overdue": False}, NEW),
    (
        "adopted_by",
        lambda it: set_to(claims.adopted_by("new", NEW))(it),
        {"state": State.WAITING, "claimed_by": ""},
        CLAIMED | {"sends": 4, "overdue": False},
        NEW,
    ),
    (
        "mark_sent",
        lambda it: claims.mark_sent({it.id}, "me", NEW / 8),
        {},
        {"state": State.SENT, "sends": 4},
        NEW,
    ),
    ("release what is held", lambda it: claims.release({it.id}, "me"), {}, WAITING, 0.0),
    (
        "release what is sent",
        lambda it: claims.release({it.id}, "m"),
        {"state": State.SENT},
        WAITING | {"sends": 2},
        0.0,
    ),
    (
        "postpone",
        lambda it: claims.postpone(failed(it), "me", NEW),
        {},
        WAITING | {"message": "a failure"},
        NEW,
    ),
    (
        "note_failure",
        lambda it: claims.note_failure(failed(it), "me"),
        {},
        {"message": "a failure"},
        None,
    ),
    (
        "bury",
        lambda it: claims.bury(it.id, states.encode(failed(it)), "me"),
        {"available_at": After(LEASE)},
        {"state": State.DEAD, "message": "a failure"},
        0.0,
    ),
    (
        "mark_overdue",
        lambda _: claims.mark_overdue(["default"], NEW),
        {"overdue": False},
        {"overdue": True},
        NEW,
    ),
    ("pass_on", lambda it: claims.pass_on({it.id}, "me", "new"), {}, {"claimed_by": "new"}, None),
]


@pytest.mark.parametrize(
    ("do", "before", "after", "available_in"),
    [one[1:] for one in CHANGES],
    ids=[it[0] for it in CHANGES],
)
def test_a_change_is_of_what_it_says_and_of_nothing_else(
    do: Change, before: dict[str, Any], after: dict[str, Any], available_in: float | None
) -> None:
    it = add("me", task=tasks.succeed_at, max_attempts=9)
    change(
        it.id, **{"attempts": 2, "sends": 3, "overdue": True, "available_at": After(-1), **before}
    )
    was = columns(it.id)
    do(it)
    now = columns(it.id)
    different = {name: value for name, value in now.items() if value != was[name]}
    moved = different.pop("available_at", None)
    if "message" in different:
        kept = states.decode(different["message"])
        different["message"] = "a failure" if "bad meat" in kept.errors[-1].traceback else kept
    assert different == after
    assert (moved is not None) is (available_in is not None)
    if available_in is not None:
        assert about(it.id, available_in)


# --- Several at once ------------------------------------------------------------------------------


def test_attempts_are_counted_for_many_and_refused_for_some() -> None:
    one, other, ahead, gone = add_many(4, "me")
    change(ahead, attempts=3)
    change(gone, claimed_by="you", attempts=1)
    assert claims.start_held([one, other], "me", LEASE, 1) == {one, other}
    change(add_many(1, "me")[0], attempts=2)  # which nobody asks for
    assert claims.start_held([one, other, ahead, gone], "me", LEASE, 2) == {one, other}
    assert [row(one).attempts for one in (one, other, ahead, gone)] == [2, 2, 3, 1]


def test_what_is_marked_is_told_from_what_was_sent_before() -> None:
    one, other, lost = add_many(3, "me")
    assert claims.mark_sent([one, other], "me", LEASE) == {one, other}
    change(other, claimed_by="you")
    assert claims.mark_sent([one, other, lost], "me", LEASE) == {one, lost}
    assert [row(one).sends for one in (one, other, lost)] == [1, 1, 1]


def test_only_what_this_call_has_marked_may_be_sent() -> None:
    ours, dead, sent_before, held_elsewhere, sent_elsewhere = add_many(5, "me")
    change(dead, state=State.DEAD)
    change(sent_before, state=State.SENT)
    change(held_elsewhere, claimed_by="me:2")
    change(sent_elsewhere, claimed_by="me:2", state=State.SENT)
    asked = [ours, dead, held_elsewhere, sent_elsewhere]
    assert claims.mark_sent(asked, "me", LEASE) == {ours}


def test_who_claims_one_of_many_is_given_that_one() -> None:
    mine, delivered, orphan = add_many(3, "me", max_attempts=3)
    change(delivered, state=State.SENT)
    change(orphan, claimed_by="dead-1")
    won = claims.claim_delivered(delivered, "me", LEASE)
    assert won is not None
    assert (won.pk, won.attempts) == (delivered, 1)
    again = claims.claim_from("dead-", orphan, "me", LEASE)
    assert again is not None
    assert (again.pk, again.claimed_by) == (orphan, "me")
    assert claims.claim_from("dead-", orphan, "me", LEASE) is None
    assert claims.claim_from("dead-", mine, "me", LEASE) is None


@pytest.mark.parametrize("state", [State.WAITING, State.SENT, State.DEAD])
def test_only_what_a_dead_process_had_claimed_is_claimed_from_it(state: State) -> None:
    (task_id,) = add_many(1, "dead-1")
    change(task_id, state=state)
    before = columns(task_id)
    assert claims.claim_from("dead-", task_id, "me", LEASE) is None
    assert columns(task_id) == before


@pytest.mark.parametrize(
    ("holder", "state"),
    [("me", State.DEAD), ("me:17", State.CLAIMED), ("me:17", State.DEAD), ("you", State.SENT)],
)
def test_what_is_neither_held_nor_sent_in_vain_is_not_released(holder: str, state: State) -> None:
    (task_id,) = add_many(1, holder)
    change(task_id, state=state, sends=1)
    before = columns(task_id)
    claims.release([task_id], "me")
    assert columns(task_id) == before


@pytest.mark.parametrize(
    ("holder", "state", "there"),
    [
        ("me", State.CLAIMED, False),
        ("you", State.CLAIMED, True),
        ("", State.WAITING, False),
        ("me", State.SENT, True),
        ("me", State.DEAD, True),
    ],
)
def test_only_what_nobody_else_runs_and_no_broker_has_is_withdrawn(
    holder: str, state: State, there: bool
) -> None:
    (task_id,) = add_many(1, "me")
    change(task_id, state=state, claimed_by=holder, attempts=1)
    assert claims.withdraw(task_id, "me") is not there
    assert table.rows([task_id]).exists() is there


@pytest.mark.parametrize(
    ("values", "there"),
    [
        ({"sends": 1}, False),
        ({"state": State.WAITING, "claimed_by": ""}, False),
        ({"attempts": 1}, True),
        ({"state": State.WAITING, "attempts": 1}, True),
        ({"state": State.SENT}, True),
        ({"state": State.DEAD}, True),
        ({"claimed_by": "you"}, True),
    ],
    ids=str,
)
def test_what_was_inserted_in_vain_is_taken_back_unless_it_was_taken(
    values: dict[str, Any], there: bool
) -> None:
    (task_id,) = add_many(1, "me")
    change(task_id, **values)
    claims.take_back([task_id], "me")
    assert table.rows([task_id]).exists() is there


def test_more_leases_than_one_statement_holds_are_all_renewed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(claims, "RENEWED_AT_ONCE", 2)
    ids = add_many(5, "me")
    change(ids[0], claimed_by="you")
    assert claims.renew(ids, "me", NEW) == 4
    assert [about(one, NEW) for one in ids] == [False, True, True, True, True]
    assert claims.renew([], "me", NEW) == 0


def test_each_sending_of_a_short_lease_doubles_it_ten_times() -> None:
    ids = {sends: add("me").id for sends in (*range(13), 500)}
    for sends, task_id in ids.items():
        change(task_id, sends=sends)
    claims.mark_sent(list(ids.values()), "me", 2.0)
    for sends, task_id in ids.items():
        lease = 2.0 * 2 ** min(sends, 10)
        assert lease / 2 < seconds_left(task_id) + 0.9 <= lease + 1
        assert row(task_id).sends == sends + 1


def test_only_leases_that_have_ended_are_marked_as_overdue_and_once() -> None:
    ended, again, runs, sent, others = add_many(5, "me")
    for task_id in (ended, again, sent, others):
        change(task_id, available_at=After(-1))
    change(again, overdue=True)
    change(sent, state=State.SENT)
    change(others, backend="celery")
    before = {one: columns(one) for one in (again, runs, sent, others)}
    claims.mark_overdue(["default", "another"], NEW)
    assert {one: columns(one) for one in before} == before
    assert row(ended).overdue
    assert about(ended, NEW)
    claims.mark_overdue(["celery"], NEW)
    assert about(others, NEW)


def test_what_is_taken_comes_by_priority_then_by_age() -> None:
    ids = {}
    for number, priority in enumerate([0, 5, 0, 5, 0]):
        ids[number] = add(priority=priority).id
        table.rows([ids[number]]).update(created_at=After(-100 * number))
    for number in (0, 1):
        table.rows([ids[number]]).update(available_at=After(-1))  # later than the others
        table.rows([ids[number + 2]]).update(available_at=After(-2))
    changes = claims.claimed_by("relay:1", LEASE)
    taken = claims.take_due("relay:1", 10, ["default"], changes)
    assert [one.pk for one in taken] == [ids[number] for number in (3, 1, 4, 2, 0)]


def test_only_what_this_call_has_won_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where rows cannot be locked, another may take what was found before it is changed."""
    one, other, strange = add().id, add().id, add("relay:1").id
    taken = claims.change_due

    def lose_one(*args: Any) -> list[str]:
        found = taken(*args)
        change(other, claimed_by="relay:2")
        return found

    monkeypatch.setattr(claims, "change_due", lose_one)
    changes = claims.claimed_by("relay:1", LEASE)
    assert [it.pk for it in claims.take_due("relay:1", 9, ["default"], changes)] == [one]
    assert row(strange).claimed_by == "relay:1"


def test_nothing_is_taken_when_nothing_is_due() -> None:
    add("me")
    changes = claims.claimed_by("me", LEASE)
    assert claims.take_due("me", 9, ["default"], changes) == []


class Statements:
    """Stands between Django and the database: what locks rows is noted, not sent.

    Attributes:
        sent: each statement, and whether it was in a transaction.
        to_undo: so many that change rows are undone by a deadlock.
    """

    LOCKS = " FOR UPDATE SKIP LOCKED"

    def __init__(self) -> None:
        self.sent: list[tuple[str, bool]] = []
        self.to_undo = 0

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        self.sent.append((sql, context["connection"].in_atomic_block))
        if self.to_undo and sql.startswith("UPDATE"):
            self.to_undo -= 1
            raise OperationalError(1213, "Deadlock found")
        return execute(sql.replace(self.LOCKS, ""), params, many, context)


def test_where_rows_can_be_locked_they_are_until_they_are_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What others have locked is passed over, and what we have locked nobody takes meanwhile."""
    connection = connections[table.alias()]
    for feature in ("has_select_for_update", "has_select_for_update_skip_locked"):
        monkeypatch.setattr(connection.features, feature, True)
    ids = add_many(2)
    statements = Statements()
    with connection.execute_wrapper(statements):
        assert set(claims.change_due(5, ["default"], claims.claimed_by("me", LEASE))) == set(ids)
    (found, locked), (changed, together) = [
        one for one in statements.sent if one[0].startswith(("SELECT", "UPDATE"))
    ]
    assert found.endswith(Statements.LOCKS)
    assert changed.startswith("UPDATE")
    assert locked
    assert together


def test_where_rows_cannot_be_locked_nothing_is_held_up(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = connections[table.alias()]
    monkeypatch.setattr(connection.features, "has_select_for_update_skip_locked", False)
    add_many(2)
    statements = Statements()
    with connection.execute_wrapper(statements):
        assert len(claims.change_due(5, ["default"], claims.claimed_by("me", LEASE))) == 2
    assert [(sql[:6], in_transaction) for sql, in_transaction in statements.sent] == [
        ("SELECT", False),
        ("UPDATE", False),
    ]


def test_what_a_deadlock_undid_is_begun_again() -> None:
    task_id = add("me").id
    change(task_id, available_at=After(-1))
    statements = Statements()
    with connections[table.alias()].execute_wrapper(statements):
        statements.to_undo = 1
        claims.mark_overdue(["default"], -1.0)
        assert row(task_id).overdue
        statements.to_undo = 1
        changes = claims.claimed_by("relay:1", LEASE)
        assert [it.pk for it in claims.take_due("relay:1", 9, ["default"], changes)] == [task_id]
        assert statements.to_undo == 0
