"""Writes the outbox from one thread: what many callers want written shares one commit.

While one transaction commits, the requests for the next gather: under load hundreds of rows share
the cost of a commit, and a lone one does not wait for others (group commit, as databases do it).
"""

import asyncio
import logging
import math
import os
import socket
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from django.db import DatabaseError, InterfaceError, OperationalError, connections

from hybrid_tasks import outbox
from hybrid_tasks.batches import at_exit
from hybrid_tasks.exceptions import OutboxUnavailable
from hybrid_tasks.outbox import NewRow
from hybrid_tasks.outbox_writes import Kind, Write, perform
from hybrid_tasks.results import TaskResult
from hybrid_tasks.signals import task_dead

logger = logging.getLogger("hybrid_tasks")

BATCH = 500  # requests in one transaction
LIMIT = 100_000  # requests that may wait for the database
IDLE_SECONDS = 10.0  # after which the thread gives its connection back
PAUSE_FIRST = 0.1  # seconds between two tries while the database is away
PAUSE_CAP = 2.0
EXIT_SECONDS = 5.0  # that a process waits at its end for what is not written yet
RENEWALS_PER_LEASE = 3

type Listener = Callable[[set[str]], None]


class OutboxWriter:
    """Commits requests in groups, and renews the leases of all rows that this process holds.

    Attributes:
        holder: what this process claims rows as; another one in a forked child.
        listeners: called, in the writer's thread, with the ids of rows that were lost to another
            process, because this one could not renew its lease in time.
    """

    def __init__(self) -> None:
        self.listeners: list[Listener] = []
        self._forget()
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        """Begin anew: in a forked child the thread is gone, and what is held is the parent's."""
        self.holder = f"{socket.gethostname()[:60]}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._requests: deque[Write] = deque()
        self._held: dict[str, float] = {}
        self._renewed = time.monotonic()
        self._thread: threading.Thread | None = None
        self._announcer: ThreadPoolExecutor | None = None

    # --- Requests that somebody waits for --------------------------------------------------------

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
        self._request(write)
        return future

    def _abandon_all(self, writes: Iterable[Write]) -> None:
        for write in writes:
            self._abandon(write)

    async def astart(self, task_id: str, lease: float) -> bool:
        """Count an attempt at a task of this process; return False if it lost the row.

        It waits for the database as long as that is away.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bool] = loop.create_future()
        write = Write(Kind.START, task_id, seconds=lease, future=future, loop=loop)
        self._request(write)
        try:
            return await future
        except asyncio.CancelledError:
            self._abandon(write)
            raise

    def _gave_up(self, write: Write, seconds: float) -> OutboxUnavailable:
        self._abandon(write)
        return OutboxUnavailable(f"The database did not take the task within {seconds:g} s.")

    def _abandon(self, write: Write) -> None:
        """Forget a request; a row that is committed nevertheless is removed."""
        with self._lock:
            write.abandoned = True
            committed = write.committed
        if committed and write.kind is Kind.INSERT:
            self._let_go(Write(Kind.WITHDRAW, write.id))

    # --- Requests that nobody waits for ----------------------------------------------------------

    def hold(self, task_id: str, lease: float) -> None:
        """Renew the lease of a row that this process has claimed, until the row is let go."""
        with self._lock:
            sooner = lease < min(self._held.values(), default=math.inf)
            if not self._held:
                self._renewed = time.monotonic()
            self._held[task_id] = lease
        if sooner:
            self._wake.set()  # the thread may sleep for longer than until this one's renewal
        self._start_thread()

    def note_failure(self, result: TaskResult) -> None:
        """Keep the errors of an attempt that this process will follow by another."""
        self._request(Write(Kind.NOTE_FAILURE, result.id, result=result))

    def postpone(self, result: TaskResult, delay: float) -> None:
        """Leave the next attempt, in `delay` seconds, to the relay."""
        self._let_go(Write(Kind.POSTPONE, result.id, result=result, seconds=delay))

    def release(self, task_id: str) -> None:
        """Leave a task to the relay."""
        self._let_go(Write(Kind.RELEASE, task_id))

    def bury(self, result: TaskResult) -> None:
        """Make a task that has failed for good a dead letter."""
        self._let_go(Write(Kind.BURY, result.id, result=result))

    def remove(self, task_id: str) -> None:
        """Remove the row of a task that has ended."""
        self._let_go(Write(Kind.REMOVE, task_id))

    def forget(self, ids: Iterable[str]) -> None:
        """Renew the leases of these rows no more; others have changed them."""
        with self._lock:
            for task_id in ids:
                self._held.pop(task_id, None)

    def _let_go(self, write: Write) -> None:
        self.forget([write.id])
        self._request(write)

    def flush(self, seconds: float) -> bool:
        """Wait until all requests are committed; return whether they were within `seconds`."""
        return self._idle.wait(seconds)

    # --- The thread ------------------------------------------------------------------------------

    def _request(self, write: Write) -> None:
        with self._lock:
            if write.kind is Kind.INSERT and len(self._requests) >= LIMIT:
                raise OutboxUnavailable(f"{LIMIT} requests wait for the database already.")
            self._requests.append(write)
            self._idle.clear()
        self._wake.set()
        self._start_thread()

    def _start_thread(self) -> None:
        if self._thread is not None:
            return
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="hybrid-tasks-outbox", daemon=True
                )
                self._thread.start()
                at_exit(self._flush_at_exit)

    def _flush_at_exit(self) -> None:
        if not self.flush(EXIT_SECONDS):
            logger.error("The outbox lacks %d writes at the exit", len(self._requests))

    def _run(self) -> None:
        pause = PAUSE_FIRST
        while True:
            if not self._wake.wait(self._until_renewal()) and not self._held:
                connections[outbox.alias()].close()
            if self._work():
                pause = PAUSE_FIRST
            else:
                time.sleep(pause)
                pause = min(pause * 2, PAUSE_CAP)

    def _until_renewal(self) -> float:
        with self._lock:
            lease = min(self._held.values(), default=0.0)
        if not lease:
            return IDLE_SECONDS
        return max(0.0, self._renewed + lease / RENEWALS_PER_LEASE - time.monotonic())

    def _work(self) -> bool:
        """Renew what is due and commit what has gathered; return whether the database is there."""
        writes = self._take()
        try:
            if writes:
                self._commit(writes)
            if self._held and self._until_renewal() <= 0:
                self._renew()
        except Exception as error:  # noqa: BLE001 - whatever it is, this thread must go on
            logger.warning("The outbox cannot be written, will try again: %r", error)
            connections[outbox.alias()].close()
            with self._lock:
                left = [write for write in writes if not write.committed]
                for write in left:
                    write.tried = True
                self._requests.extendleft(reversed(left))
            if left:
                self._wake.set()
            return False
        finally:
            with self._lock:
                if not self._requests:
                    self._idle.set()
        return True

    def _take(self) -> list[Write]:
        with self._lock:
            taken = [self._requests.popleft() for _ in range(min(BATCH, len(self._requests)))]
            if not self._requests:
                self._wake.clear()
        return [wanted for write in taken if (wanted := still_wanted(write))]

    def _renew(self) -> None:
        with self._lock:
            held = dict(self._held)
        if not held:  # let go a moment ago
            return
        began = time.monotonic()
        renewed = outbox.renew(self.holder, max(held.values()))
        self._renewed = began  # not if that failed: it is tried again at once then
        if renewed >= len(held):
            return
        kept = outbox.held_by(self.holder)
        with self._lock:
            lost = {task_id for task_id in held if task_id in self._held} - kept
        if lost:
            logger.warning("%d tasks were taken over while this process hung", len(lost))
            self.forget(lost)
            for listener in list(self.listeners):
                listener(lost)

    def _commit(self, writes: list[Write]) -> None:
        try:
            perform(writes, self.holder)
        except (OperationalError, InterfaceError):
            raise
        except Exception as error:
            if len(writes) > 1:  # one of them is wrong: the others must not suffer
                for write in writes:
                    self._commit([write])
                return
            logger.exception("Task %s: its row cannot be written", writes[0].id)
            writes[0].outcome = error
        self._finish(writes)

    def _finish(self, writes: list[Write]) -> None:
        late = []
        with self._lock:
            for write in writes:
                write.committed = True
                if write.kind is not Kind.INSERT:
                    continue
                if write.abandoned:
                    late.append(write.id)
                elif write.row and write.row.holder:
                    if not self._held:
                        self._renewed = time.monotonic()
                    self._held[write.id] = write.row.lease
        for task_id in late:
            self._let_go(Write(Kind.WITHDRAW, task_id))
        answer(writes)
        for write in writes:
            if write.kind is Kind.BURY and write.outcome is True and write.result:
                self.announce_dead(write.id, write.result)

    def announce_dead(self, task_id: str, result: TaskResult | None) -> None:
        """Send `task_dead` from a thread whose receivers may use this writer."""
        if self._announcer is None:
            self._announcer = ThreadPoolExecutor(1, thread_name_prefix="hybrid-tasks-dead")
        self._announcer.submit(tell_dead, task_id, result)


def still_wanted(write: Write) -> Write | None:
    """Return what is to be done for a request whose caller may have given up."""
    if not write.abandoned:
        return write
    if write.kind is Kind.INSERT and write.tried:
        return Write(Kind.WITHDRAW, write.id)  # the answer to its commit may have been lost
    return None


def tell_dead(task_id: str, result: TaskResult | None) -> None:
    path = result.task.module_path if result else "unknown"
    logger.error("Task id=%s path=%s is a dead letter", task_id, path)
    try:
        task_dead.send_robust(outbox.model(), task_id=task_id, task_result=result)
    finally:
        connections.close_all()


def answer(writes: Iterable[Write]) -> None:
    """Tell all who wait; those on one loop with one call, which costs a system call."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Write]] = {}
    for write in writes:
        if isinstance(write.future, Future):
            settle(write)
        elif write.loop is not None:
            by_loop.setdefault(write.loop, []).append(write)
    for loop, waiting in by_loop.items():
        try:
            loop.call_soon_threadsafe(settle_all, waiting)
        except RuntimeError:  # the loop is closed, and who waited on it is gone
            logger.warning("%d tasks were written for a loop that is closed", len(waiting))


def settle_all(writes: list[Write]) -> None:
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


writer = OutboxWriter()
