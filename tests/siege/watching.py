"""What the siege does to those who only want a page, and to the server."""

import statistics
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import httpx
import psutil
import psycopg

from tests.postgres import CLIENTS

PAUSE = 0.05  # seconds between two pages
VISITOR_ADDRESS = "127.200.0.1"


@dataclass
class Seen:
    """What a visitor and the operator saw meanwhile.

    Attributes:
        seconds: of each page, until it was there.
        statuses: how often a page was answered with which status; 0 for no answer.
        connections: to the database, of all processes together, at most.
    """

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    connections: int = 0

    @property
    def p99(self) -> float:
        """The seconds within which 99 of 100 pages were there."""
        if len(self.seconds) < 2:
            return max(self.seconds, default=0.0)
        return statistics.quantiles(self.seconds, n=100, method="inclusive")[98]


class Watch:
    """Gets pages in turn and counts the database's connections, until the end of the block."""

    def __init__(self, url: str, database_url: str, paths: tuple[str, ...] = ("/",)) -> None:
        self._url, self._database_url, self._paths = url, database_url, paths
        self._end = threading.Event()
        self._threads = [threading.Thread(target=one) for one in (self._visit, self._count)]
        self.seen = Seen()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _visit(self) -> None:
        transport = httpx.HTTPTransport(local_address=VISITOR_ADDRESS)
        headers = {"Accept": "text/html"}
        with httpx.Client(base_url=self._url, transport=transport, timeout=60) as http:
            while not self._end.is_set():
                for path in self._paths:
                    began = time.perf_counter()
                    try:
                        status = http.get(path, headers=headers).status_code
                    except httpx.HTTPError:
                        status = 0
                    self.seen.seconds.append(time.perf_counter() - began)
                    self.seen.statuses[status] += 1
                self._end.wait(PAUSE)

    def _count(self) -> None:
        with psycopg.connect(self._database_url, autocommit=True) as connection:
            while not self._end.wait(PAUSE):
                row = connection.execute(f"{CLIENTS} AND datname = current_database()").fetchone()
                assert row is not None
                self.seen.connections = max(self.seen.connections, row[0])


def memory(pid: int) -> int:
    """Return the bytes that a process and its children have in memory."""
    main = psutil.Process(pid)
    return sum(one.memory_info().rss for one in (main, *main.children(recursive=True)))
