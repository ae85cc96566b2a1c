"""Outbox writers for tests: each with a thread that ends, and transactions that can be held up."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from django.db import OperationalError, connections, transaction

from hybrid_tasks.outbox import table, writes
from hybrid_tasks.outbox.writer import OutboxWriter
from hybrid_tasks.outbox.writes import Write
from tests.processes import PATIENCE


class Ended(BaseException):
    """Raised in a thread that has to end."""


class MortalWriter(OutboxWriter):
    """A writer whose thread closes its connections and ends when told to."""

    ended = False

    def _run(self) -> None:
        try:
            super()._run()
        except Ended:
            connections.close_all()

    def _work(self) -> bool:
        if self.ended:
            raise Ended
        return super()._work()

    def end(self) -> None:
        assert self.flush(PATIENCE)
        self.ended = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(PATIENCE)
            assert not self._thread.is_alive()


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
                if connections[alias].vendor == "postgresql":
                    cursor.execute(f"LOCK TABLE {table.model()._meta.db_table}")
                locked.set()
                assert done.wait(PATIENCE)
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
