"""The outbox's writer in tests: transactions that can be held up, rows that are owned, locks."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from django.db import OperationalError, connections, transaction

from hybrid_tasks.outbox import table, writes
from hybrid_tasks.outbox.inserts import NewRow
from hybrid_tasks.outbox.writer import OutboxWriter
from hybrid_tasks.outbox.writes import Write
from hybrid_tasks.runtime import Runtime
from tests.hybrid_tasks.outbox.rows import make
from tests.processes import PATIENCE

# SQLite's transaction has the lock from its beginning; those of MySQL outlive a transaction.
LOCK = {"sqlite": "SELECT 1", "postgresql": "LOCK TABLE {}", "mysql": "LOCK TABLES {} WRITE"}
UNLOCK = {"sqlite": "SELECT 1", "postgresql": "SELECT 1", "mysql": "UNLOCK TABLES"}


class Work:
    """Owns rows as jobs and deliveries do: for as long as it holds their ids.

    Attributes:
        leases: the seconds of each row's lease, by its id.
        heard: the ids that it was told to be lost, each time.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.leases: dict[str, float] = {}
        self.heard: list[set[str]] = []
        runtime.owners.append(self)

    def owned(self) -> list[tuple[str, float]]:
        return list(self.leases.items())

    def lost(self, ids: set[str]) -> None:
        self.heard.append(ids)
        for task_id in ids:
            self.leases.pop(task_id, None)

    def put(self, writer: OutboxWriter, lease: float) -> str:
        """Insert a row that this work owns; return its id."""
        result = make()
        self.leases[result.id] = lease
        writer.put_row(NewRow(result, holder=writer.holder, lease=lease), PATIENCE)
        return result.id


class Gate:
    """Stands before each transaction of the writers, and counts those that were let through.

    Attributes:
        sizes: how many requests each transaction had.
        answers_to_lose: so many commits are to look as if they had failed.
    """

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.answers_to_lose = 0
        self._knocked = threading.Event()
        self._open = threading.Event()
        self._open.set()

    def perform(self, asked: Sequence[Write], holder: str) -> None:
        self._knocked.set()
        assert self._open.wait(PATIENCE)
        self.sizes.append(len(asked))
        writes.perform(asked, holder)
        if self.answers_to_lose:
            self.answers_to_lose -= 1
            raise OperationalError("the answer to the commit was lost")

    def close(self) -> None:
        self._knocked.clear()
        self._open.clear()

    def open(self) -> None:
        self._open.set()

    def wait_for_knock(self) -> None:
        """Wait until a writer wants to begin a transaction."""
        assert self._knocked.wait(PATIENCE)


@contextmanager
def locked_table() -> Iterator[None]:
    """Keep all others from writing into the table, from another connection."""
    locked, done = threading.Event(), threading.Event()

    def hold() -> None:
        alias = table.alias()
        try:
            with transaction.atomic(alias), connections[alias].cursor() as cursor:
                cursor.execute(LOCK[connections[alias].vendor].format(table.model()._meta.db_table))
                locked.set()
                assert done.wait(PATIENCE)
                cursor.execute(UNLOCK[connections[alias].vendor])
        finally:
            connections.close_all()

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert locked.wait(PATIENCE)
        yield
    finally:
        done.set()
        thread.join()
