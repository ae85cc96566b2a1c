"""The outbox: each change of a row, as one conditional statement by the database's clock.

A row exists as long as its task is unfinished. Whoever runs a task has claimed its row by one
UPDATE that only one can win; what was claimed and not renewed is due again when its lease ends.
Anchors: the transactional outbox (https://microservices.io/patterns/data/transactional-outbox.html)
and the job tables of procrastinate and Solid Queue.

All functions are sync, use the connection of their thread and raise Django's DatabaseError.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from itertools import batched, chain
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.db import connections, router, transaction
from django.db.models import (
    Case,
    DateTimeField,
    F,
    PositiveIntegerField,
    Q,
    Value,
    When,
)
from django.db.models.constants import OnConflict
from django.db.models.functions import Now

from hybrid_tasks import results
from hybrid_tasks.database_clock import After
from hybrid_tasks.results import TaskResult
from hybrid_tasks.tasks import extended

if TYPE_CHECKING:
    from hybrid_tasks.models import OutboxQuerySet, OutboxTask

WAITING, CLAIMED, SENT, DEAD = "WAITING", "CLAIMED", "SENT", "DEAD"

RENEWED_AT_ONCE = 20_000  # rows; SQLite takes 32,766 parameters
MANY_PARAMS = 10_000  # in one statement, where the database has no limit that matters
SENT_LEASE_CAP = timedelta(hours=1)
SENT_DOUBLINGS = 10  # after so many sends the cap holds for every lease of seconds

COLUMNS = (
    *("id", "task_path", "backend", "queue_name", "priority", "state", "claimed_by"),
    *("attempts", "max_attempts", "sends", "message"),
)


def model() -> "type[OutboxTask]":
    """Return the model, which cannot be imported before the apps are loaded."""
    found: type[OutboxTask] = apps.get_model("hybrid_tasks", "OutboxTask")
    return found


def alias() -> str:
    """Return the alias of the database that holds the table."""
    return router.db_for_write(model())


def rows(ids: Collection[str] | None = None) -> "OutboxQuerySet":
    """Return the rows of these tasks, or all, in the database that takes writes."""
    found = model().objects.using(alias())
    return found if ids is None else found.filter(pk__in=ids)


def after(seconds: float | timedelta) -> After:
    """Return the expression for a time from now, by the database's clock."""
    return After(seconds.total_seconds() if isinstance(seconds, timedelta) else seconds)


@dataclass(frozen=True, slots=True)
class NewRow:
    """A row to insert.

    Attributes:
        result: of the task, which must be READY.
        holder: the process that claims it at once, or "" to leave it to the relay.
        lease: seconds that the holder has.
        run_after: when the relay may take it; None for at once. Without a holder only.
    """

    result: TaskResult
    holder: str = ""
    lease: float = 0.0
    run_after: datetime | None = None

    @property
    def values(self) -> tuple[Any, ...]:
        """The values of COLUMNS."""
        result = self.result
        task = extended(result.task)
        return (
            *(result.id, task.module_path, result.backend, task.queue_name, task.priority),
            *(CLAIMED if self.holder else WAITING, self.holder),
            *(result.attempts, task.max_attempts, 0, results.encode(result)),
        )


def available_at(lease: float | None, run_after: datetime | None) -> Any:
    """Return the expression for the end of a lease, or else for when the relay may take a row."""
    if lease is not None:
        return after(lease)
    return Value(run_after, DateTimeField()) if run_after else Now()


def insert(new: Iterable[NewRow]) -> None:
    """Insert rows, with few statements; the caller decides on the transaction.

    One statement for many rows: in a thread beside a busy loop, each one waits for the interpreter
    to be given back. Django's bulk_create would take three times as long.
    """
    connection = connections[alias()]
    query = model().objects.all().query
    compiler = query.get_compiler(connection.alias)
    marks = ", ".join(["%s"] * len(COLUMNS))

    @cache
    def when(lease: float | None, run_after: datetime | None) -> tuple[str, Sequence[Any]]:
        expression = available_at(lease, run_after).resolve_expression(query)
        sql, params = compiler.compile(expression)
        return f"({marks}, {sql})", params

    rows, params = [], []
    for row in new:
        sql, more = when(row.lease if row.holder else None, row.run_after)
        rows.append(sql)
        params.append((*row.values, *more))
    quoted = map(connection.ops.quote_name, (*COLUMNS, "available_at"))
    table = connection.ops.quote_name(model()._meta.db_table)
    # When a commit's answer was lost, the rows are there already.
    insert_into = connection.ops.insert_statement(on_conflict=OnConflict.IGNORE)
    ignore = connection.ops.on_conflict_suffix_sql([], OnConflict.IGNORE, [], [])
    into = f"{insert_into} {table} ({', '.join(quoted)}) VALUES"
    size = (connection.features.max_query_params or MANY_PARAMS) // (len(COLUMNS) + 1)
    with connection.cursor() as cursor:
        for first in range(0, len(rows), size):
            several = slice(first, first + size)
            cursor.execute(
                f"{into} {', '.join(rows[several])} {ignore}",
                list(chain.from_iterable(params[several])),
            )


def start_held(ids: Collection[str], holder: str, lease: float) -> set[str]:
    """Count an attempt for each row that `holder` has claimed; return the ids of those."""
    held = rows(ids).filter(claimed_by=holder, state=CLAIMED)
    changes = claimed_by(holder, lease)
    if held.update(**changes, attempts=F("attempts") + 1) == len(ids):
        return set(ids)
    return set(held.values_list("pk", flat=True))


def uncount(ids: Collection[str], holder: str) -> None:
    """Take back an attempt that was counted when it could not begin any more."""
    untaken = Q(claimed_by=holder) | Q(state=WAITING)
    rows(ids).alive().filter(untaken, attempts__gt=0).update(attempts=F("attempts") - 1)


def claim_delivered(task_id: str, holder: str, lease: float) -> "OutboxTask | None":
    """Claim the row of a task that the broker delivered and count an attempt.

    Returns None if the row is gone, is run by another process, waits for its time, or has no
    attempt left: this delivery must not run then.
    """
    free = Q(state=SENT) | Q(pk__in=rows([task_id]).due())
    won = (
        rows([task_id])
        .filter(free, attempts__lt=F("max_attempts"))
        .update(**claimed_by(holder, lease), attempts=F("attempts") + 1, sends=0)
    )
    return rows([task_id]).filter(claimed_by=holder).first() if won else None


def renew(ids: Collection[str], holder: str, lease: float) -> int:
    """Give `holder` a new lease of rows that it has claimed; return how many it still had."""
    renewed = 0
    for some in batched(ids, RENEWED_AT_ONCE):
        held = rows(some).filter(claimed_by=holder, state=CLAIMED)
        renewed += held.update(**claimed_by(holder, lease))
    return renewed


def held_by(holder: str) -> set[str]:
    """Return the ids of the rows that `holder` has claimed."""
    return set(rows().filter(claimed_by=holder, state=CLAIMED).values_list("pk", flat=True))


def mark_sent(ids: Collection[str], holder: str, lease: float) -> set[str]:
    """Note, before they are sent, that tasks are the broker's, to be claimed by any worker.

    Returns the ids of those that `holder` had claimed; others must not be sent. If no worker has
    claimed one by the end of the lease, it is sent again: the broker may have lost it.
    """
    claimed = rows(ids).filter(claimed_by=holder, state=CLAIMED)
    if claimed.update(**sent_by(holder, lease)) == len(ids):
        return set(ids)
    sent = rows(ids).filter(claimed_by=holder, state=SENT)
    return set(sent.values_list("pk", flat=True))


def sent_by(holder: str, lease: float) -> dict[str, Any]:
    """Return the changes of a row that is sent: each time for twice as long.

    So a queue that is longer than a lease does not fill with copies.
    """
    leases = {sends: timedelta(seconds=lease * 2**sends) for sends in range(SENT_DOUBLINGS)}
    steps = [
        When(sends=sends, then=after(one)) for sends, one in leases.items() if one < SENT_LEASE_CAP
    ]
    cap = after(min(SENT_LEASE_CAP, timedelta(seconds=lease * 2**SENT_DOUBLINGS)))
    return {
        "state": SENT,
        "claimed_by": holder,
        "sends": F("sends") + 1,
        "available_at": Case(*steps, default=cap, output_field=DateTimeField()),
    }


def release(ids: Collection[str], holder: str) -> None:
    """Leave rows that `holder` has claimed, or sent in vain, to the relay."""
    ours = Q(claimed_by=holder, state=CLAIMED) | Q(claimed_by__startswith=holder, state=SENT)
    rows(ids).filter(ours).update(
        state=WAITING,
        claimed_by="",
        available_at=Now(),
        # No broker has it: a long absence of one must not make the next lease long.
        sends=Case(
            When(state=SENT, then=F("sends") - 1),
            default=F("sends"),
            output_field=PositiveIntegerField(),
        ),
    )


def postpone(result: TaskResult, holder: str, delay: float) -> None:
    """Keep the errors of a failed attempt; the relay may begin the next in `delay` seconds."""
    rows([result.id]).filter(claimed_by=holder, state=CLAIMED).update(
        state=WAITING, claimed_by="", available_at=after(delay), message=results.encode(result)
    )


def note_failure(result: TaskResult, holder: str) -> None:
    """Keep the errors of a failed attempt at a task that `holder` will try again itself."""
    rows([result.id]).filter(claimed_by=holder, state=CLAIMED).update(
        message=results.encode(result)
    )


def remove(ids: Collection[str], holder: str) -> None:
    """Remove the rows of tasks that have ended, unless another process has claimed them since."""
    rows(ids).filter(claimed_by=holder, state=CLAIMED).delete()


def take_back(ids: Collection[str], holder: str) -> None:
    """Remove rows that `holder` has inserted in vain, unless they were taken since."""
    ours = Q(claimed_by=holder, state=CLAIMED) | Q(state=WAITING)
    rows(ids).filter(ours, attempts=0).delete()


def discard(ids: Collection[str]) -> int:
    """Remove rows whoever holds them; return how many."""
    removed, _ = rows(ids).delete()
    return removed


def bury(task_id: str, message: str, holder: str) -> bool:
    """Keep the row of a task that has failed for good as a dead letter; return whether it was ours.

    Its holder's name stays, so that an operator sees where it failed.
    """
    ours = rows([task_id]).filter(claimed_by=holder, state__in=(CLAIMED, SENT))
    return bool(ours.update(state=DEAD, message=message, available_at=Now()))


def revive(ids: Collection[str]) -> int:
    """Let the relay run dead letters again, with all attempts; return how many there were."""
    revived = 0
    with transaction.atomic(alias()):
        for row in rows(ids).dead():
            content = row.content | {
                "status": "READY",
                "worker_ids": [],
                "started_at": None,
                "finished_at": None,
            }
            revived += (
                rows([row.pk])
                .dead()
                .update(
                    state=WAITING,
                    claimed_by="",
                    attempts=0,
                    sends=0,
                    available_at=Now(),
                    message=json.dumps(content),
                )
            )
    return revived


def hasten(ids: Collection[str]) -> int:
    """Let the relay take rows that wait for a later time at once; return how many there were."""
    with transaction.atomic(alias()):
        scheduled = list(rows(ids).scheduled().select_for_update())
        for row in scheduled:
            content = row.content
            content["task"]["run_after"] = None  # or the broker would wait for it
            rows([row.pk]).update(available_at=Now(), message=json.dumps(content))
    return len(scheduled)


def mark_overdue(backends: Sequence[str], grace: float) -> None:
    """Give the holders of leases that have ended `grace` seconds to renew them.

    While nobody could write to the database, nobody could renew either: the relay must not be
    quicker than those who live.
    """
    ended = rows().filter(state=CLAIMED, overdue=False, available_at__lte=Now())
    ended.filter(backend__in=backends).update(overdue=True, available_at=after(grace))


def take_due(
    holder: str, limit: int, backends: Sequence[str], changes: dict[str, Any]
) -> "list[OutboxTask]":
    """Make `changes` to up to `limit` due rows of these backends, the most urgent first.

    Returns those that this call has won: `changes` must set `claimed_by` to `holder`, a name that
    was never used before.
    """
    due = rows().due().filter(backend__in=backends).order_by("-priority", "available_at")
    locks = connections[alias()].features.has_select_for_update_skip_locked
    with transaction.atomic(alias()) if locks else nullcontext():
        found = due.select_for_update(skip_locked=True) if locks else due
        ids = list(found.values_list("pk", flat=True)[:limit])
        # Where rows cannot be locked, others may have taken some of them meanwhile.
        rows(ids).due().update(**changes)
    return list(rows(ids).filter(claimed_by=holder).order_by("-priority", "created_at"))


def claimed_by(holder: str, lease: float) -> dict[str, Any]:
    """Return the changes of a row that `holder` claims."""
    return {
        "state": CLAIMED,
        "claimed_by": holder,
        "available_at": after(lease),
        "overdue": False,
    }


def pass_on(ids: Collection[str], holder: str, to: str) -> None:
    """Let another name of the same process hold rows."""
    rows(ids).filter(claimed_by=holder, state=CLAIMED).update(claimed_by=to)


def withdraw(task_id: str) -> bool:
    """Remove the row of a task that nobody runs and no broker has; return whether there was one."""
    removed, _ = rows([task_id]).filter(state=WAITING).delete()
    return bool(removed)
