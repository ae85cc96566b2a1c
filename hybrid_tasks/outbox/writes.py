"""What the outbox's writer is asked to write, and how many such requests become one transaction."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from django.db import transaction

from hybrid_tasks.grouping import grouped
from hybrid_tasks.outbox import claims, inserts, table
from hybrid_tasks.outbox.inserts import NewRow
from hybrid_tasks.results import states
from hybrid_tasks.results.task_result import TaskResult


class Kind(IntEnum):
    """What to do with a row, in the order in which one transaction does it."""

    INSERT = 0
    CLAIM = 1  # what the broker delivered, and count an attempt
    START = 2  # count an attempt
    NOTE_FAILURE = 3
    SENT = 4  # to the broker, as soon as this is committed
    POSTPONE = 5
    RELEASE = 6
    BURY = 7
    REMOVE = 8
    WITHDRAW = 9  # what was inserted for a caller who has given up
    UNCOUNT = 10  # an attempt that was counted for a job that had been stopped


@dataclass(eq=False, slots=True)
class Write:
    """One request.

    Attributes:
        kind: what to do.
        id: of the task.
        row: to insert.
        result: to keep with the row.
        seconds: the lease for CLAIM, START and SENT, the delay for POSTPONE.
        future: of a caller that waits, an asyncio one if `loop` is given.
        loop: of that caller.
        outcome: what the caller is told; an exception is raised there.
        tried: whether it may be in the database.
        committed: whether it is.
        abandoned: whether the caller has stopped waiting and was told so.
    """

    kind: Kind
    id: str
    row: NewRow | None = None
    result: TaskResult | None = None
    seconds: float = 0.0
    future: "Future[Any] | asyncio.Future[Any] | None" = None
    loop: asyncio.AbstractEventLoop | None = None
    outcome: Any = field(default=None)
    tried: bool = False
    committed: bool = False
    abandoned: bool = False


def perform(writes: Sequence[Write], holder: str) -> None:
    """Do all of `writes` in one transaction and note their outcomes. Raises DatabaseError."""
    by_kind = grouped((write.kind, write) for write in writes)
    with transaction.atomic(table.alias()):
        for kind in sorted(by_kind):
            PERFORM[kind](by_kind[kind], holder)


def insert(writes: list[Write], _holder: str) -> None:
    inserts.insert(write.row for write in writes if write.row)


def claim(writes: list[Write], holder: str) -> None:
    for write in writes:
        claimed = claims.claim_delivered(write.id, holder, write.seconds)
        if claimed is None and write.tried:  # the answer to its commit may have been lost
            claimed = claims.held(holder, [write.id]).first()
        write.outcome = claimed


def start(writes: list[Write], holder: str) -> None:
    for lease, group in by_seconds(writes).items():
        won = claims.start_held([write.id for write in group], holder, lease)
        for write in group:
            write.outcome = write.id in won


def sent(writes: list[Write], holder: str) -> None:
    for lease, group in by_seconds(writes).items():
        marked = claims.mark_sent([write.id for write in group], holder, lease)
        for write in group:
            write.outcome = write.id in marked


def by_seconds(writes: list[Write]) -> dict[float, list[Write]]:
    return grouped((write.seconds, write) for write in writes)


def note_failure(writes: list[Write], holder: str) -> None:
    for write in writes:
        if write.result:
            claims.note_failure(write.result, holder)


def postpone(writes: list[Write], holder: str) -> None:
    for write in writes:
        if write.result:
            claims.postpone(write.result, holder, write.seconds)


def release(writes: list[Write], holder: str) -> None:
    claims.release([write.id for write in writes], holder)


def bury(writes: list[Write], holder: str) -> None:
    for write in writes:
        if write.result:
            write.outcome = claims.bury(write.id, states.encode(write.result), holder)


def remove(writes: list[Write], holder: str) -> None:
    claims.remove([write.id for write in writes], holder)


def withdraw(writes: list[Write], holder: str) -> None:
    claims.take_back([write.id for write in writes], holder)


def uncount(writes: list[Write], holder: str) -> None:
    claims.uncount([write.id for write in writes], holder)


PERFORM = {
    Kind.INSERT: insert,
    Kind.CLAIM: claim,
    Kind.START: start,
    Kind.SENT: sent,
    Kind.NOTE_FAILURE: note_failure,
    Kind.POSTPONE: postpone,
    Kind.RELEASE: release,
    Kind.BURY: bury,
    Kind.REMOVE: remove,
    Kind.WITHDRAW: withdraw,
    Kind.UNCOUNT: uncount,
}
