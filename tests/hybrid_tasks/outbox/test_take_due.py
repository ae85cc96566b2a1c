"""The one statement by which relays take rows, several of them at once."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from hybrid_tasks.execution.threads import then_close
from hybrid_tasks.outbox import claims, table
from hybrid_tasks.outbox.clock import After
from tests.hybrid_tasks.outbox.rows import (
    ALL,
    DUE,
    LEASE,
    InState,
    State,
    about,
    add,
    add_many,
    expire,
    row,
)

pytestmark = pytest.mark.usefixtures("database")

RELAYS = 4
ROWS = 400


def take(holder: str, limit: int = 100, *backends: str) -> list[str]:
    """Claim rows; return their ids in the order given."""
    changes = claims.claimed_by(holder, LEASE)
    return [one.pk for one in claims.take_due(holder, limit, backends or ["default"], changes)]


@pytest.mark.parametrize("state", ALL)
def test_only_what_is_due_is_taken(state: InState) -> None:
    result = add()
    state(result.id)
    before = table.rows().values().get()
    if state in DUE:
        assert take("relay:1") == [result.id]
        assert (row(result.id).state, row(result.id).claimed_by) == (State.CLAIMED, "relay:1")
        assert about(result.id, LEASE)
    else:
        assert take("relay:1") == []
        assert table.rows().values().get() == before


def test_the_most_urgent_come_first() -> None:
    ids = {priority: add(priority=priority).id for priority in (0, -100, 7, 100, -1)}
    assert take("relay:1", 2) == [ids[100], ids[7]]
    assert take("relay:2", 2) == [ids[0], ids[-1]]
    assert take("relay:3", 2) == [ids[-100]]


def test_who_has_waited_longest_comes_first_among_equals() -> None:
    waiting = add_many(3)
    for seconds, task_id in enumerate(waiting):
        table.rows([task_id]).update(available_at=After(-10 * (seconds + 1)))
    assert [take(f"relay:{number}", 1) for number in range(3)] == [
        [task_id] for task_id in reversed(waiting)
    ]


def test_each_backend_has_rows_of_its_own() -> None:
    ours, others = add(), add(alias="celery")
    assert take("relay:1") == [ours.id]
    assert take("relay:2", 100, "default", "celery") == [others.id]


def test_no_room_takes_nothing() -> None:
    add()
    assert take("relay:1", 0) == []
    assert take("relay:2") != []


def test_relays_at_once_never_win_the_same_row() -> None:
    ids = add_many(ROWS)
    start = threading.Barrier(RELAYS)

    def relay(name: int) -> list[str]:
        won: list[str] = []
        start.wait()
        for number in range(ROWS):
            if not (batch := take(f"relay:{name}:{number}", 7)) and not left():
                break
            won += batch
        return won

    def left() -> bool:
        """Whether rows are due: another relay may be about to take those that were found."""
        return table.rows().due().exists()

    with ThreadPoolExecutor(RELAYS) as pool:
        won = list(pool.map(lambda name: then_close(lambda: relay(name)), range(RELAYS)))
    counts = Counter(task_id for each in won for task_id in each)
    assert set(counts) == set(ids)
    assert set(counts.values()) == {1}
    for name, each in enumerate(won):
        assert all(row(task_id).claimed_by.startswith(f"relay:{name}:") for task_id in each)


def test_workers_at_once_never_claim_the_same_row() -> None:
    ids = add_many(30)
    expire(*ids)
    start = threading.Barrier(RELAYS)

    def work(name: int) -> list[str]:
        start.wait()
        return [one for one in ids if claims.claim_delivered(one, f"worker:{name}", LEASE)]

    with ThreadPoolExecutor(RELAYS) as pool:
        won = list(pool.map(lambda name: then_close(lambda: work(name)), range(RELAYS)))
    assert sorted(task_id for each in won for task_id in each) == sorted(ids)
    assert {row(task_id).attempts for task_id in ids} == {1}
