"""The outbox of this process: what many want written shares one commit, and leases are renewed.

While one transaction commits, the requests for the next gather: under load hundreds of rows share
the cost of a commit, and a lone one does not wait for others (group commit, as databases do it).
"""

import asyncio
import logging
import math
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from django.db import DatabaseError
from django.tasks import TaskResultStatus

from hybrid_tasks.databases import errors
from hybrid_tasks.databases.connections import leave_pool
from hybrid_tasks.engine import Engine
from hybrid_tasks.exceptions import OutboxUnavailable
from hybrid_tasks.outbox import claims, table
from hybrid_tasks.outbox.dead_letters import Announcer
from hybrid_tasks.outbox.inserts import NewRow, RawRow
from hybrid_tasks.outbox.writes import Kind, Write, answer, perform
from hybrid_tasks.results import states
from hybrid_tasks.results.task_result import TaskResult
from hybrid_tasks.runtime import Runtime, current

if TYPE_CHECKING:
    from hybrid_tasks.models import OutboxTask

logger = logging.getLogger("hybrid_tasks")

RENEWALS_PER_LEASE = 3


class OutboxWriter(Engine[Write, Write]):
    """Commits requests in groups, and renews the leases of all rows that this process owns."""

    name = "hybrid-tasks-outbox"

    def __init__(self, runtime: Runtime) -> None:
        super().__init__(runtime)
        self._renew_at = math.inf
        # Until then the work that the latest claim was for may come to its owner: (end, lease).
        self._latest_claim = (-math.inf, 0.0)

    @property
    def holder(self) -> str:
        """What this process claims rows as."""
        return self.runtime.holder

    # --- What the rest of the package asks for ---------------------------------------------------

    async def aput(self, row: NewRow, seconds: float) -> None:
        """Insert a row. Raises OutboxUnavailable if it is not committed within `seconds`."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        write = Write(Kind.INSERT, row.result.id, row, future=future, loop=loop)
        self._request(write)
        # Not asyncio.timeout(), which costs more than all the rest here.
        timer = loop.call_later(seconds, self._expire, write, seconds)
        try:
            await future
        except asyncio.CancelledError:
            self._abandon(write)
            raise
        except DatabaseError as error:
            raise OutboxUnavailable(f"The database refused the task: {error}") from error
        finally:
            timer.cancel()

    def _expire(self, write: Write, seconds: float) -> None:
        if write.future is not None and not write.future.done():
            write.future.set_exception(self._gave_up(write, seconds))

    def put_row(self, row: NewRow, seconds: float) -> None:
        """See aput()."""
        self.put_rows([row], seconds)

    def put_rows(self, rows: Iterable[NewRow | RawRow], seconds: float) -> None:
        """Insert rows. Raises OutboxUnavailable if not all are committed within `seconds`."""
        self._wait_for([Write(Kind.INSERT, row.id, row) for row in rows], seconds)

    def mark_sent(self, leases: Iterable[tuple[str, float]], seconds: float) -> set[str]:
        """Note that tasks are the broker's, each for its lease; return which of them may be sent.

        Raises OutboxUnavailable if that is not committed within `seconds`.
        """
        writes = [Write(Kind.SENT, task_id, seconds=lease) for task_id, lease in leases]
        self._wait_for(writes, seconds)
        return {write.id for write in writes if write.outcome is True}

    def claim(self, task_id: str, lease: float, seconds: float) -> "OutboxTask | None":
        """Claim the row of a task that the broker delivered; see claims.claim_delivered().

        By the writer's connection: one of the caller's would be opened for each task. Raises
        OutboxUnavailable if it is not committed within `seconds`.
        """
        write = Write(Kind.CLAIM, task_id, seconds=lease)
        self._wait_for([write], seconds)
        claimed: OutboxTask | None = write.outcome
        return claimed

    def claim_from(
        self, process: str, task_id: str, lease: float, seconds: float
    ) -> "OutboxTask | None":
        """Claim the row of a task whose process has died; see claims.claim_from().

        Raises OutboxUnavailable if it is not committed within `seconds`.
        """
        write = Write(Kind.CLAIM_FROM, task_id, seconds=lease, process=process)
        self._wait_for([write], seconds)
        claimed: OutboxTask | None = write.outcome
        return claimed

    async def astart(self, task_id: str, lease: float, attempt: int) -> bool:
        """Count attempt number `attempt` at a task of this process; False if it lost the row.

        It waits for the database as long as that is away.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bool] = loop.create_future()
        write = Write(Kind.START, task_id, seconds=lease, attempt=attempt, future=future, loop=loop)
        self._request(write)
        try:
            return await future
        except asyncio.CancelledError:
            self._abandon(write)
            raise

    def note_failure(self, result: TaskResult) -> None:
        """Keep the errors of an attempt that this process will follow by another."""
        self._request(Write(Kind.NOTE_FAILURE, result.id, result=result))

    def postpone(self, result: TaskResult, delay: float) -> None:
        """Leave the next attempt, in `delay` seconds, to the relay."""
        self._request(Write(Kind.POSTPONE, result.id, result=result, seconds=delay))

    def release(self, task_id: str) -> None:
        """Leave a task to the relay."""
        self._request(Write(Kind.RELEASE, task_id))

    def settle(self, result: TaskResult) -> None:
        """Remove the row of a task that has ended, or keep it as a dead letter if it failed."""
        if result.status == TaskResultStatus.SUCCESSFUL or states.was_cancelled(result):
            self.remove(result.id)
        else:
            self.bury(result)

    def bury(self, result: TaskResult) -> None:
        """Make a task that has failed for good a dead letter."""
        self._request(Write(Kind.BURY, result.id, result=result))

    def remove(self, task_id: str) -> None:
        """Remove the row of a task that has ended."""
        self._request(Write(Kind.REMOVE, task_id))

    def own(self, lease: float) -> None:
        """Renew what this process owns in time for a lease of that many seconds."""
        claimed = self.runtime.clock.monotonic()
        renew_at = claimed + lease / RENEWALS_PER_LEASE
        with self._lock:
            self._latest_claim = max(self._latest_claim, (claimed + lease, lease))
            is_sooner = renew_at < self._renew_at
            self._renew_at = min(self._renew_at, renew_at)
        if is_sooner:
            self.start()
            self.hasten()

    # --- Callers that wait -----------------------------------------------------------------------

    def _request(self, write: Write) -> None:
        """Have something written soon. Raises OutboxUnavailable for a row if too many wait."""
        if not self.put(write, write, always=write.kind is not Kind.INSERT):
            raise OutboxUnavailable(f"{self.limit} requests wait for the database already.")

    def _wait_for(self, writes: list[Write], seconds: float) -> None:
        deadline = self.runtime.clock.monotonic() + seconds
        try:
            for future in [self._awaited(write) for write in writes]:
                left = deadline - self.runtime.clock.monotonic()
                self.runtime.result_of(future, max(0.0, left))
        except TimeoutError as error:
            self._abandon_all(writes)
            raise self._gave_up(writes[0], seconds) from error
        except DatabaseError as error:
            self._abandon_all(writes)  # what was taken of them must not stay either
            raise OutboxUnavailable(f"The database refused the task: {error}") from error
        except BaseException:
            self._abandon_all(writes)
            raise

    def _awaited(self, write: Write) -> Future[Any]:
        write.future = future = Future[Any]()
        self._request(write)
        return future

    def _gave_up(self, write: Write, seconds: float) -> OutboxUnavailable:
        self._abandon(write)
        return OutboxUnavailable(
            f"The database did not take the task within {seconds:g} s{self.failure}."
        )

    def _abandon_all(self, writes: Iterable[Write]) -> None:
        for write in writes:
            self._abandon(write)

    def _abandon(self, write: Write) -> None:
        """Forget a request; what is committed nevertheless is undone."""
        with self._lock:
            first = not write.abandoned
            write.abandoned = True
            committed = write.committed
        if committed and first:
            self._undo(write)

    def _undo(self, write: Write) -> None:
        if write.kind is Kind.INSERT:
            self._request(Write(Kind.WITHDRAW, write.id))
        elif write.kind is Kind.START and write.outcome is True:
            self._request(Write(Kind.UNCOUNT, write.id, attempt=write.attempt))
        elif write.kind is Kind.CLAIM and write.outcome is not None:
            self._request(Write(Kind.UNCLAIM, write.id))

    # --- In the thread ---------------------------------------------------------------------------

    def begin(self) -> None:
        """See Engine: those who hold the connections of a pool may be waiting for this thread."""
        leave_pool(table.alias())

    def write(self, batch: dict[Write, Write]) -> None:
        """See Engine: one transaction."""
        wanted = [kept for write in batch if (kept := still_wanted(write))]
        try:
            perform(wanted, self.holder)
        except BaseException:
            for write in batch:
                write.tried = True
            raise
        self._finish(wanted)
        batch.clear()

    def is_away(self, error: Exception) -> bool:
        """See Engine."""
        return errors.is_away(error)

    def fail(self, _key: Write, item: Write, error: BaseException) -> None:
        """See Engine: who waits is told; what nobody waits for is left to the row's lease."""
        item.outcome = error
        answer([item])

    def _finish(self, writes: Sequence[Write]) -> None:
        with self._lock:
            for write in writes:
                write.committed = True
            late = [write for write in writes if write.abandoned]
        for write in late:
            self._undo(write)
        for lease in {write.lease for write in writes if write.lease}:
            self.own(lease)
        answer(writes)
        for write in writes:
            if write.kind is Kind.BURY and write.outcome is True and write.result:
                self.runtime.part(Announcer).announce(write.id, write.result)

    def until_due(self) -> float | None:
        """See Engine."""
        if self._renew_at == math.inf:
            return None
        return max(0.0, self._renew_at - self.runtime.clock.monotonic())

    def do_due(self) -> bool:
        """See Engine: renew the leases of what is owned, when it is time."""
        if self.runtime.clock.monotonic() < self._renew_at:
            return True
        try:
            self._renew()
        except DatabaseError as error:
            logger.warning("Leases cannot be renewed, will try again: %r", error)
            self.failure = f": {error}"
            return False
        return True

    def _renew(self) -> None:
        """Give all owned rows a new lease by one statement, and tell of those that were lost."""
        began = self.runtime.clock.monotonic()
        owned = self.runtime.owned()
        renewed = claims.renew(owned, self.holder, max(owned.values())) if owned else 0
        with self._lock:
            until, lease = self._latest_claim
            leases = [*owned.values(), *([lease] if began < until else [])]
            self._renew_at = began + min(leases, default=math.inf) / RENEWALS_PER_LEASE
        if renewed >= len(owned):
            return
        kept = claims.held_by(self.holder)
        # What has ended meanwhile, or begins only now, is not lost.
        lost = (owned.keys() & self.runtime.owned().keys()) - kept
        if lost:
            logger.warning("%d tasks were taken over while this process hung", len(lost))
            for owner in list(self.runtime.owners):
                owner.lost(lost)


def still_wanted(write: Write) -> Write | None:
    """Return what is to be done for a request whose caller may have given up."""
    if not write.abandoned:
        return write
    if not write.tried:
        return None
    # The answer to its commit may have been lost.
    if write.kind is Kind.START:
        return Write(Kind.UNCOUNT, write.id, attempt=write.attempt)
    undo = {Kind.INSERT: Kind.WITHDRAW, Kind.CLAIM: Kind.UNCLAIM}.get(write.kind)
    return None if undo is None else Write(undo, write.id)


def writer() -> OutboxWriter:
    """Return this process's writer."""
    return current().part(OutboxWriter)
