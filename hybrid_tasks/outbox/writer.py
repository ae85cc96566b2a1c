"""What the rest of the package asks of the outbox's thread: put, start, let go."""

import asyncio
from collections.abc import Iterable
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, Any

from django.db import DatabaseError

from hybrid_tasks.exceptions import OutboxUnavailable
from hybrid_tasks.outbox.inserts import NewRow
from hybrid_tasks.outbox.thread import OutboxThread
from hybrid_tasks.outbox.writes import Kind, Write
from hybrid_tasks.results.task_result import TaskResult

if TYPE_CHECKING:
    from hybrid_tasks.models import OutboxTask


class OutboxWriter(OutboxThread):
    """The outbox of this process; `holder`, `hold` and `flush` are the thread's."""

    async def aput(self, row: NewRow, seconds: float) -> None:
        """Insert a row. Raises OutboxUnavailable if it is not committed within `seconds`."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        write = Write(Kind.INSERT, row.result.id, row, future=future, loop=loop)
        self.request(write)
        # Not asyncio.timeout(), which costs more than all the rest here.
        timer = loop.call_later(seconds, self._expire, write, seconds)
        try:
            await future
        except asyncio.CancelledError:
            self.abandon(write)
            raise
        except DatabaseError as error:
            raise OutboxUnavailable(f"The database refused the task: {error}") from error
        finally:
            timer.cancel()

    def _expire(self, write: Write, seconds: float) -> None:
        if write.future is not None and not write.future.done():
            write.future.set_exception(self._gave_up(write, seconds))

    def put(self, row: NewRow, seconds: float) -> None:
        """See aput()."""
        self.put_all([row], seconds)

    def put_all(self, rows: Iterable[NewRow], seconds: float) -> None:
        """Insert rows. Raises OutboxUnavailable if not all are committed within `seconds`."""
        self._wait_for([Write(Kind.INSERT, row.result.id, row) for row in rows], seconds)

    def mark_sent(self, ids: Iterable[str], lease: float, seconds: float) -> set[str]:
        """Note that tasks are the broker's; return which of them may be sent.

        Raises OutboxUnavailable if that is not committed within `seconds`.
        """
        writes = [Write(Kind.SENT, task_id, seconds=lease) for task_id in ids]
        self._wait_for(writes, seconds)
        self.forget(write.id for write in writes)
        return {write.id for write in writes if write.outcome}

    def _wait_for(self, writes: list[Write], seconds: float) -> None:
        try:
            futures = [self._await(write) for write in writes]
            wait(futures, seconds)
            for future in futures:
                future.result(0)
        except TimeoutError as error:
            self._abandon_all(writes)
            raise self._gave_up(writes[0], seconds) from error
        except DatabaseError as error:
            self._abandon_all(writes)  # what was taken of them must not stay either
            raise OutboxUnavailable(f"The database refused the task: {error}") from error
        except BaseException:
            self._abandon_all(writes)
            raise

    def _await(self, write: Write) -> Future[Any]:
        write.future = future = Future[Any]()
        self.request(write)
        return future

    def _abandon_all(self, writes: Iterable[Write]) -> None:
        for write in writes:
            self.abandon(write)

    def claim(self, task_id: str, lease: float, seconds: float) -> "OutboxTask | None":
        """Claim the row of a task that the broker delivered; see outbox.claim_delivered().

        By the writer's connection: one of the caller's would be opened for each task. Raises
        OutboxUnavailable if it is not committed within `seconds`.
        """
        write = Write(Kind.CLAIM, task_id, seconds=lease)
        self._wait_for([write], seconds)
        if write.outcome is not None:
            self.hold(task_id, lease)
        claimed: OutboxTask | None = write.outcome
        return claimed

    async def astart(self, task_id: str, lease: float) -> bool:
        """Count an attempt at a task of this process; return False if it lost the row.

        It waits for the database as long as that is away.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bool] = loop.create_future()
        write = Write(Kind.START, task_id, seconds=lease, future=future, loop=loop)
        self.request(write)
        try:
            return await future
        except asyncio.CancelledError:
            self.abandon(write)
            raise

    def _gave_up(self, write: Write, seconds: float) -> OutboxUnavailable:
        self.abandon(write)
        return OutboxUnavailable(
            f"The database did not take the task within {seconds:g} s{self.failure}."
        )

    def note_failure(self, result: TaskResult) -> None:
        """Keep the errors of an attempt that this process will follow by another."""
        self.request(Write(Kind.NOTE_FAILURE, result.id, result=result))

    def postpone(self, result: TaskResult, delay: float) -> None:
        """Leave the next attempt, in `delay` seconds, to the relay."""
        self.let_go(Write(Kind.POSTPONE, result.id, result=result, seconds=delay))

    def release(self, task_id: str) -> None:
        """Leave a task to the relay."""
        self.let_go(Write(Kind.RELEASE, task_id))

    def bury(self, result: TaskResult) -> None:
        """Make a task that has failed for good a dead letter."""
        self.let_go(Write(Kind.BURY, result.id, result=result))

    def remove(self, task_id: str) -> None:
        """Remove the row of a task that has ended."""
        self.let_go(Write(Kind.REMOVE, task_id))

    def forget(self, ids: Iterable[str]) -> None:
        """Renew the leases of these rows no more; others have changed them."""
        self._leases.forget(ids)


writer = OutboxWriter()
