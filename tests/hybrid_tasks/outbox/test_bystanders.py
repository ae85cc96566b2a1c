"""A change of some tasks' rows touches no other row, whoever holds it and whatever its state."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from hybrid_tasks.outbox import claims, table
from hybrid_tasks.outbox.claims import After
from hybrid_tasks.results.task_result import TaskResult
from tests.hybrid_tasks.outbox.rows import LEASE, State, add, change

pytestmark = pytest.mark.usefixtures("database")

type Change = Callable[[TaskResult], Any]

# What may be done to a row by the process that holds it.
BY_ITS_HOLDER: dict[str, Change] = {
    "start_held": lambda it: claims.start_held({it.id}, "me", LEASE, 2),
    "unclaim": lambda it: claims.unclaim({it.id}, "me"),
    "put_off": lambda it: claims.put_off(it.id, "me", 5.0),
    "renew": lambda it: claims.renew({it.id}, "me", 2 * LEASE),
    "mark_sent": lambda it: claims.mark_sent({it.id}, "me", LEASE),
    "release": lambda it: claims.release({it.id}, "me"),
    "postpone": lambda it: claims.postpone(it, "me", 5.0),
    "note_failure": lambda it: claims.note_failure(it, "me"),
    "remove": lambda it: claims.remove({it.id}, "me"),
    "remove_sent": lambda it: claims.remove_sent(it.id, "me"),
    "bury": lambda it: claims.bury(it.id, "{}", "me"),
    "pass_on": lambda it: claims.pass_on({it.id}, "me", "me:2"),
}
# What may also be done to a row that nobody holds, or that its holder can hold no more.
BY_OTHERS: dict[str, Change] = {
    "uncount": lambda it: claims.uncount(it.id, "me", 1),
    "take_back": lambda it: claims.take_back({it.id}, "me"),
    "withdraw": lambda it: claims.withdraw(it.id, "me"),
    "claim_delivered": lambda it: claims.claim_delivered(it.id, "new", LEASE),
    "claim_from": lambda it: claims.claim_from("me", it.id, "new", LEASE),
    "discard": lambda it: claims.discard({it.id}),
    "discard_alive": lambda it: claims.discard_alive(it.id),
}
CHANGES = BY_ITS_HOLDER | BY_OTHERS


def bystanders() -> set[str]:
    """Add a row in each state that each of three holders has, or had; return their ids."""
    ids = set()
    for holder, state, tried in itertools.product(("me", "you", "new"), State, (False, True)):
        task_id = add(holder).id
        over = After(-1 if tried else LEASE)
        change(task_id, state=state, overdue=tried, attempts=int(tried), available_at=over)
        ids.add(task_id)
    return ids


def contents(ids: set[str]) -> list[dict[str, Any]]:
    return [dict(row) for row in table.rows(ids).order_by("pk").values()]


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("name", CHANGES)
def test_it_touches_no_other_row(name: str, state: State) -> None:
    result = add("me", max_attempts=9)
    change(result.id, state=state, attempts=1, sends=1)
    others = bystanders()
    before = contents(others)
    CHANGES[name](result)
    assert contents(others) == before


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("name", BY_ITS_HOLDER)
def test_what_another_process_has_stays(name: str, state: State) -> None:
    result = add("you", max_attempts=9)
    change(result.id, state=state, attempts=1)
    before = contents({result.id})
    BY_ITS_HOLDER[name](result)
    assert contents({result.id}) == before


@pytest.mark.parametrize(
    "name", ["take_back", "withdraw", "claim_delivered", "claim_from", "uncount"]
)
def test_what_another_process_runs_stays(name: str) -> None:
    result = add("you", max_attempts=9)
    change(result.id, attempts=0 if name == "take_back" else 1)
    before = contents({result.id})
    BY_OTHERS[name](result)
    assert contents({result.id}) == before


@pytest.mark.parametrize(
    ("name", "state"),
    [
        *itertools.product(BY_ITS_HOLDER, [State.CLAIMED]),
        ("release", State.SENT),
        ("bury", State.SENT),
        *itertools.product(["uncount", "withdraw", "claim_from", "discard"], [State.CLAIMED]),
        ("claim_delivered", State.SENT),
        ("discard_alive", State.SENT),
        ("discard", State.DEAD),
    ],
)
def test_it_touches_its_own(name: str, state: State) -> None:
    """Else the other tests here could not fail."""
    result = add("me", max_attempts=9)
    change(result.id, state=state, attempts=1, sends=1, message="{}")
    before = contents({result.id})
    CHANGES[name](result)
    assert contents({result.id}) != before


def test_take_back_touches_what_was_never_tried() -> None:
    result = add("me")
    claims.take_back({result.id}, "me")
    assert not table.rows([result.id]).exists()
