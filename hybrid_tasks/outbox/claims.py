"""The outbox: each change of a row, as one conditional statement by the database's clock.

A row exists as long as its task is unfinished. Whoever runs a task has claimed its row by one
UPDATE that only one can win; what was claimed and not renewed is due again when its lease ends.
Anchors: the transactional outbox (https://microservices.io/patterns/data/transactional-outbox.html)
and the job tables of procrastinate and Solid Queue.

All functions are sync, use the connection of their thread and raise Django's DatabaseError.
"""

from collections.abc import Collection, Sequence
from contextlib import nullcontext
from itertools import batched
from typing import TYPE_CHECKING, Any

from django.db import connections, transaction
from django.db.models import Case, F, PositiveIntegerField, Q, When

from hybrid_tasks.databases.clock import Now
from hybrid_tasks.databases.errors import through_deadlocks
from hybrid_tasks.outbox.clock import After
from hybrid_tasks.outbox.packets import fitting
from hybrid_tasks.outbox.table import CLAIMED, DEAD, SENT, WAITING, alias, rows
from hybrid_tasks.results import states
from hybrid_tasks.results.task_result import TaskResult

if TYPE_CHECKING:
    from hybrid_tasks.models import OutboxQuerySet, OutboxTask

RENEWED_AT_ONCE = 20_000  # rows; SQLite takes 32,766 parameters
SENT_LEASE_CAP = 3600.0  # seconds
SENT_DOUBLINGS = 10  # after so many sends the cap holds for every lease of seconds


def held(holder: str, ids: Collection[str] | None = None) -> "OutboxQuerySet":
    """Return the rows, of these tasks or of all, that `holder` has claimed."""
    return rows(ids).filter(claimed_by=holder, state=CLAIMED)


def claimed_by(holder: str, lease: float) -> dict[str, Any]:
    """Return the changes of a row that `holder` claims."""
    return {
        "state": CLAIMED,
        "claimed_by": holder,
        "available_at": After(lease),
        "overdue": False,
    }


def adopted_by(holder: str, lease: float) -> dict[str, Any]:
    """Return the changes of a row that `holder` takes over, which counts as a try to run it."""
    return claimed_by(holder, lease) | {"sends": F("sends") + 1}


def left_waiting(delay: float = 0.0) -> dict[str, Any]:
    """Return the changes of a row that the relay may take in `delay` seconds."""
    return {
        "state": WAITING,
        "claimed_by": "",
        "available_at": After(delay),
    }


def start_held(ids: Collection[str], holder: str, lease: float, attempt: int) -> set[str]:
    """Count attempt number `attempt` for each row that `holder` has claimed; return their ids.

    Counted twice, as when the answer to a commit was lost, it is still one.
    """
    ours = held(holder, ids).filter(attempts__in=(attempt - 1, attempt))
    if ours.update(**claimed_by(holder, lease), attempts=attempt, sends=0) == len(ids):
        return set(ids)
    return set(held(holder, ids).filter(attempts=attempt).values_list("pk", flat=True))


def unclaim(ids: Collection[str], holder: str) -> None:
    """Leave rows to the relay that `holder` claimed for one who gave up, as if it never had."""
    held(holder, ids).filter(attempts__gt=0).update(**left_waiting(), attempts=F("attempts") - 1)


def put_off(task_id: str, holder: str, delay: float) -> None:
    """Let the relay take a row again in `delay` seconds that `holder` has adopted in vain."""
    held(holder, [task_id]).update(**left_waiting(delay))


def uncount(task_id: str, holder: str, attempt: int) -> None:
    """Take back an attempt that was counted when it could not begin any more."""
    untaken = Q(claimed_by=holder) | Q(state=WAITING)
    rows([task_id]).alive().filter(untaken, attempts=attempt).update(attempts=attempt - 1)


def claim_delivered(task_id: str, holder: str, lease: float) -> "OutboxTask | None":
    """Claim the row of a task that the broker delivered and count an attempt.

    Returns None if the row is gone, is run by another process, waits for its time, or has no
    attempt left: this delivery must not run then.
    """
    found = rows([task_id])
    # No subquery: MySQL does not update a table from which the same statement selects.
    won = found.filter(Q(state=SENT) | found.is_due(), attempts__lt=F("max_attempts")).update(
        **claimed_by(holder, lease), attempts=F("attempts") + 1, sends=0
    )
    return rows([task_id]).filter(claimed_by=holder).first() if won else None


def claim_from(process: str, task_id: str, holder: str, lease: float) -> "OutboxTask | None":
    """Claim the row that a process had claimed, which has died; None if it had not.

    `process` is how the name of its holder begins.
    """
    dead = rows([task_id]).filter(state=CLAIMED, claimed_by__startswith=process)
    won = dead.update(**claimed_by(holder, lease))
    return held(holder, [task_id]).first() if won else None


def renew(ids: Collection[str], holder: str, lease: float) -> int:
    """Give `holder` a new lease of rows that it has claimed; return how many it still had."""
    renewed = 0
    for some in batched(ids, RENEWED_AT_ONCE):
        renewed += held(holder, some).update(**claimed_by(holder, lease))
    return renewed


def held_by(holder: str) -> set[str]:
    """Return the ids of the rows that `holder` has claimed."""
    return set(held(holder).values_list("pk", flat=True))


def mark_sent(ids: Collection[str], holder: str, lease: float) -> set[str]:
    """Note, before they are sent, that tasks are the broker's, to be claimed by any worker.

    Returns the ids of those that `holder` had claimed; others must not be sent. If no worker has
    claimed one by the end of the lease, it is sent again: the broker may have lost it.
    """
    if held(holder, ids).update(**sent_by(holder, lease)) == len(ids):
        return set(ids)
    sent = rows(ids).filter(claimed_by=holder, state=SENT)
    return set(sent.values_list("pk", flat=True))


def sent_by(holder: str, lease: float) -> dict[str, Any]:
    """Return the changes of a row that is sent: each time for twice as long.

    So a queue that is longer than a lease does not fill with copies.
    """
    leases = {sends: lease * 2**sends for sends in range(SENT_DOUBLINGS)}
    steps = [
        When(sends=sends, then=After(one)) for sends, one in leases.items() if one < SENT_LEASE_CAP
    ]
    cap = After(min(SENT_LEASE_CAP, lease * 2**SENT_DOUBLINGS))
    return {
        "state": SENT,
        "claimed_by": holder,
        # Before it is counted: MySQL assigns from left to right and reads what it has assigned.
        "available_at": Case(*steps, default=cap),
        "sends": F("sends") + 1,
    }


def release(ids: Collection[str], holder: str) -> None:
    """Leave rows that `holder` has claimed, or sent in vain, to the relay."""
    ours = Q(claimed_by=holder, state=CLAIMED) | Q(claimed_by__startswith=holder, state=SENT)
    rows(ids).filter(ours).update(
        # No broker has it: a long absence of one must not make the next lease long. Before the
        # state is changed: MySQL assigns from left to right and reads what it has assigned.
        sends=Case(
            When(state=SENT, then=F("sends") - 1),
            default=F("sends"),
            output_field=PositiveIntegerField(),
        ),
        **left_waiting(),
    )


def postpone(result: TaskResult, holder: str, delay: float) -> None:
    """Keep the errors of a failed attempt; the relay may begin the next in `delay` seconds."""
    held(holder, [result.id]).update(**left_waiting(delay), message=fitting(states.encode(result)))


def note_failure(result: TaskResult, holder: str) -> None:
    """Keep the errors of a failed attempt at a task that `holder` will try again itself."""
    held(holder, [result.id]).update(message=fitting(states.encode(result)))


def remove(ids: Collection[str], holder: str) -> None:
    """Remove the rows of tasks that have ended, unless another process has claimed them since."""
    held(holder, ids).delete()


def remove_sent(task_id: str, holder: str) -> None:
    """Remove the row of a task that has ended, which `holder` has marked as sent or adopted."""
    rows([task_id]).filter(claimed_by=holder).alive().delete()


def take_back(ids: Collection[str], holder: str) -> None:
    """Remove rows that `holder` has inserted in vain, unless they were taken since."""
    ours = Q(claimed_by=holder, state=CLAIMED) | Q(state=WAITING)
    rows(ids).filter(ours, attempts=0).delete()


def discard(ids: Collection[str]) -> int:
    """Remove rows, whoever holds them and whatever became of their tasks; return how many."""
    removed, _ = rows(ids).delete()
    return removed


def discard_alive(task_id: str) -> bool:
    """Remove the row of a task that has not ended, whoever holds it; return whether it did."""
    removed, _ = rows([task_id]).alive().delete()
    return bool(removed)


def bury(task_id: str, message: str, holder: str) -> bool:
    """Keep the row of a task that has failed for good as a dead letter; return whether it was ours.

    Its holder's name stays, so that an operator sees where it failed.
    """
    ours = rows([task_id]).filter(claimed_by=holder, state__in=(CLAIMED, SENT))
    return bool(ours.update(state=DEAD, message=fitting(message), available_at=Now()))


def mark_overdue(backends: Sequence[str], grace: float) -> None:
    """Give the holders of leases that have ended `grace` seconds to renew them.

    While nobody could write to the database, nobody could renew either: the relay must not be
    quicker than those who live.
    """
    ended = rows().filter(state=CLAIMED, overdue=False, available_at__lte=Now())
    ours = ended.filter(backend__in=backends)
    through_deadlocks(alias(), lambda: ours.update(overdue=True, available_at=After(grace)))


def take_due(
    holder: str, limit: int, backends: Sequence[str], changes: dict[str, Any]
) -> "list[OutboxTask]":
    """Make `changes` to up to `limit` due rows of these backends, the most urgent first.

    Returns those that this call has won: `changes` must set `claimed_by` to `holder`, a name that
    was never used before.
    """
    ids = through_deadlocks(alias(), lambda: change_due(limit, backends, changes))
    return list(rows(ids).filter(claimed_by=holder).order_by("-priority", "created_at"))


def change_due(limit: int, backends: Sequence[str], changes: dict[str, Any]) -> list[str]:
    """Make `changes` to due rows; return the ids of those that were due before."""
    due = rows().due().filter(backend__in=backends).order_by("-priority", "available_at")
    locks = connections[alias()].features.has_select_for_update_skip_locked
    with transaction.atomic(alias()) if locks else nullcontext():
        found = due.select_for_update(skip_locked=True) if locks else due
        ids = list(found.values_list("pk", flat=True)[:limit])
        # Where rows cannot be locked, others may have taken some of them meanwhile.
        if ids:
            rows(ids).due().update(**changes)
    return ids


def pass_on(ids: Collection[str], holder: str, to: str) -> None:
    """Let another name of the same process hold rows."""
    held(holder, ids).update(claimed_by=to)


def withdraw(task_id: str, holder: str) -> bool:
    """Remove the row of a task that nobody but `holder` runs and no broker has.

    Returns whether there was one.
    """
    ours = Q(state=WAITING) | Q(state=CLAIMED, claimed_by=holder)
    removed, _ = rows([task_id]).filter(ours).delete()
    return bool(removed)
