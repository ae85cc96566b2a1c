"""What the outbox's writer is asked to write, how many such requests become one transaction, and
how their callers hear of it.
"""

import asyncio
import logging
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from django.db import transaction

from hybrid_tasks.grouping import grouped
from hybrid_tasks.outbox import claims, inserts, table
from hybrid_tasks.outbox.inserts import NewRow, RawRow
from hybrid_tasks.results import states
from hybrid_tasks.results.task_result import TaskResult

logger = logging.getLogger("hybrid_tasks")


class Kind(IntEnum):
    """What to do with a row, in the order in which one transaction does it."""

    WITHDRAW = 0  # what was inserted for a caller who gave up; who inserts it again comes later
    UNCLAIM = 1  # what was claimed for one who gave up, and take the attempt back
    INSERT = 2
    CLAIM = 3  # what the broker delivered, and count an attempt
    START = 4  # count an attempt
    NOTE_FAILURE = 5
    SENT = 6  # to the broker, as soon as this is committed
    POSTPONE = 7
    RELEASE = 8
    BURY = 9
    REMOVE = 10
    UNCOUNT = 11  # an attempt that was counted for a job that had been stopped
    CLAIM_FROM = 12  # a process that has died


@dataclass(eq=False, slots=True)
class Write:
    """One request.

    Attributes:
        kind: what to do.
        id: of the task.
        row: to insert.
        result: to keep with the row.
        seconds: the lease for CLAIM, START, SENT and CLAIM_FROM, the delay for POSTPONE.
        process: how the name of the holder begins for CLAIM_FROM.
        attempt: the number of the attempt for START and UNCOUNT.
        future: of a caller that waits, an asyncio one if `loop` is given.
        loop: of that caller.
        outcome: what the caller is told; an exception is raised there.
        tried: whether it may be in the database.
        committed: whether it is.
        abandoned: whether the caller has stopped waiting and was told so.
    """

    kind: Kind
    id: str
    row: NewRow | RawRow | None = None
    result: TaskResult | None = None
    seconds: float = 0.0
    attempt: int = 0
    process: str = ""
    future: "Future[Any] | asyncio.Future[Any] | None" = None
    loop: asyncio.AbstractEventLoop | None = None
    outcome: Any = field(default=None)
    tried: bool = False
    committed: bool = False
    abandoned: bool = False

    def __str__(self) -> str:
        return f"{self.kind.name} of task id={self.id}"

    @property
    def lease(self) -> float:
        """The seconds for which this process then owns the row; 0 if it does not."""
        if self.row is not None:
            return self.row.lease if self.row.holder else 0.0
        return self.seconds if self.kind in (Kind.CLAIM, Kind.START) else 0.0


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


def claim_from(writes: list[Write], holder: str) -> None:
    for write in writes:
        write.outcome = claims.claim_from(write.process, write.id, holder, write.seconds)


def start(writes: list[Write], holder: str) -> None:
    groups = grouped(((write.seconds, write.attempt), write) for write in writes)
    for (lease, attempt), group in groups.items():
        won = claims.start_held([write.id for write in group], holder, lease, attempt)
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


def unclaim(writes: list[Write], holder: str) -> None:
    claims.unclaim([write.id for write in writes], holder)


def uncount(writes: list[Write], holder: str) -> None:
    for write in writes:
        claims.uncount(write.id, holder, write.attempt)


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
    Kind.UNCLAIM: unclaim,
    Kind.UNCOUNT: uncount,
    Kind.CLAIM_FROM: claim_from,
}


def answer(writes: Collection[Write]) -> None:
    """Tell all who wait; those on one loop with one call, which costs a system call."""
    settle_all(write for write in writes if isinstance(write.future, Future))
    on_loops = ((write.loop, write) for write in writes if write.loop is not None)
    for loop, waiting in grouped(on_loops).items():
        try:
            loop.call_soon_threadsafe(settle_all, waiting)
        except RuntimeError:  # the loop is closed, and who waited on it is gone
            logger.warning("%d tasks were written for a loop that is closed", len(waiting))


def settle_all(writes: Iterable[Write]) -> None:
    for write in writes:
        settle(write)


def settle(write: Write) -> None:
    future: Any = write.future
    if future.done():
        return
    if isinstance(write.outcome, BaseException):
        future.set_exception(write.outcome)
    else:
        future.set_result(write.outcome)
