"""The thread that writes the outbox: what many want written shares one commit.

While one transaction commits, the requests for the next gather: under load hundreds of rows share
the cost of a commit, and a lone one does not wait for others (group commit, as databases do it).
"""

import logging
import os
import socket
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable

from django.db import InterfaceError, OperationalError, connections

from hybrid_tasks.batches import at_exit
from hybrid_tasks.exceptions import OutboxUnavailable
from hybrid_tasks.outbox import table
from hybrid_tasks.outbox.answers import answer
from hybrid_tasks.outbox.dead_letters import announcer
from hybrid_tasks.outbox.leases import Leases
from hybrid_tasks.outbox.writes import Kind, Write, perform

logger = logging.getLogger("hybrid_tasks")

BATCH = 500  # requests in one transaction
LIMIT = 100_000  # requests that may wait for the database
IDLE_SECONDS = 10.0  # after which the thread gives its connection back
PAUSE_FIRST = 0.1  # seconds between two tries while the database is away
PAUSE_CAP = 2.0
EXIT_SECONDS = 5.0  # that a process waits at its end for what is not written yet

type Listener = Callable[[set[str]], None]


class OutboxThread:
    """Commits requests in groups, and renews the leases of all rows that this process holds.

    Attributes:
        holder: what this process claims rows as; another one in a forked child.
        listeners: called, in this thread, with the ids of rows that were lost to another process,
            because this one could not renew its lease in time.
        failure: what the database said last, or "" while it does as it is told.
    """

    def __init__(self) -> None:
        self.listeners: list[Listener] = []
        self._forget()
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        """Begin anew: in a forked child the thread is gone, and what is held is the parent's."""
        self.holder = f"{socket.gethostname()[:60]}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self.failure = ""
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._requests: deque[Write] = deque()
        self._leases = Leases()
        self._thread: threading.Thread | None = None

    def request(self, write: Write) -> None:
        """Have something written soon. Raises OutboxUnavailable for a row if too many wait."""
        with self._lock:
            if write.kind is Kind.INSERT and len(self._requests) >= LIMIT:
                raise OutboxUnavailable(f"{LIMIT} requests wait for the database already.")
            if not self._requests:  # else it is awake
                self._idle.clear()
                self._wake.set()
            self._requests.append(write)
        self._start_thread()

    def abandon(self, write: Write) -> None:
        """Forget a request; what is committed nevertheless is undone."""
        with self._lock:
            write.abandoned = True
            committed = write.committed
        if committed:
            self._undo(write)

    def _undo(self, write: Write) -> None:
        if write.kind is Kind.INSERT:
            self.let_go(Write(Kind.WITHDRAW, write.id))
        elif write.kind is Kind.START and write.outcome is True:
            self.request(Write(Kind.UNCOUNT, write.id))
        elif write.kind is Kind.CLAIM and write.outcome is not None:
            self.let_go(Write(Kind.RELEASE, write.id))
            self.request(Write(Kind.UNCOUNT, write.id))

    def hold(self, task_id: str, lease: float) -> None:
        """Renew the lease of a row that this process has claimed, until the row is let go."""
        if self._leases.hold(task_id, lease):
            self._wake.set()  # the thread may sleep for longer than until this one's renewal
        self._start_thread()

    def let_go(self, write: Write) -> None:
        """Have something written after which this process does not hold the row any more."""
        self._leases.forget([write.id])
        self.request(write)

    def flush(self, seconds: float) -> bool:
        """Wait until all requests are committed; return whether they were within `seconds`."""
        return self._idle.wait(seconds)

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
            if not self._wake.wait(self._leases.until_renewal(IDLE_SECONDS)) and not self._leases:
                connections[table.alias()].close()
            if self._work():
                pause = PAUSE_FIRST
            else:
                time.sleep(pause)
                pause = min(pause * 2, PAUSE_CAP)

    def _work(self) -> bool:
        """Commit what has gathered and renew what is due; return whether the database is there."""
        writes = self._take()
        try:
            if writes:
                self._commit(writes)
            if self._leases.until_renewal(IDLE_SECONDS) <= 0:
                self._renew()
        except Exception as error:  # noqa: BLE001 - whatever it is, this thread must go on
            logger.warning("The outbox cannot be written, will try again: %r", error)
            connections[table.alias()].close()
            self.failure = f": {error}"
            self._put_back([write for write in writes if not write.committed])
            return False
        finally:
            with self._lock:
                if not self._requests:
                    self._idle.set()
        self.failure = ""
        return True

    def _take(self) -> list[Write]:
        with self._lock:
            taken = [self._requests.popleft() for _ in range(min(BATCH, len(self._requests)))]
            if not self._requests:
                self._wake.clear()
        return [wanted for write in taken if (wanted := still_wanted(write))]

    def _put_back(self, left: list[Write]) -> None:
        for write in left:
            write.tried = True
        with self._lock:
            self._requests.extendleft(reversed(left))
        if left:
            self._wake.set()

    def _renew(self) -> None:
        lost = self._leases.renew(self.holder)
        if lost:
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
        with self._lock:
            for write in writes:
                write.committed = True
            late = [write for write in writes if write.abandoned]
        self._leases.hold_all(
            (write.id, write.row.lease)
            for write in writes
            if write.row and write.row.holder and not write.abandoned
        )
        for write in late:
            self._undo(write)
        answer(writes)
        for write in writes:
            if write.kind is Kind.BURY and write.outcome is True and write.result:
                announcer.announce(write.id, write.result)


def still_wanted(write: Write) -> Write | None:
    """Return what is to be done for a request whose caller may have given up."""
    if not write.abandoned:
        return write
    if write.kind is Kind.INSERT and write.tried:
        return Write(Kind.WITHDRAW, write.id)  # the answer to its commit may have been lost
    return None
