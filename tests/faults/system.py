"""The system whose parts the fault suite breaks, and the load that is on it meanwhile."""

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx
import psutil
import redis

from tests.faults.brokers import Broker, Rabbit, Valkey
from tests.faults.counting import Counts, count, verify
from tests.faults.databases import Database, Row
from tests.faults.journal import History, Line, circumstances, histories
from tests.loop.system import DJANGO, System, Web
from tests.processes import PATIENCE, Process, wait_until
from tests.rabbitmq import running_rabbitmq

LEASE = 5.0  # seconds, as the settings have it unless a scenario needs another
RESCUE_SECONDS = LEASE + 10  # within which all is done that a dead process has left
LOOP = {"overflow": "celery", "drain_timeout": 5}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request to enqueue was answered, and after how many seconds."""

    ids: list[str]
    refused: int
    slowest: float
    seconds: float


def accept(web: Web, n: int, **query: Any) -> Answer:
    """Ask a server to enqueue `n` tasks at once; see the view for `query`."""
    began = time.monotonic()
    answer = web.get("accept", n=n, **query)
    return Answer(**answer, seconds=time.monotonic() - began)


class FaultSystem(System):
    """Adds relays, a database that can be looked into, a broker to break, and the counting.

    Arguments beside those of System:
        database: that of all its processes.
        rabbitmq: the kind of queues, where RabbitMQ is to be the broker and Valkey the cache only.

    Attributes:
        queues: the broker.
    """

    settings = "tests.faults.settings"

    def __init__(
        self,
        directory: Path,
        processes: ExitStack,
        database: Database,
        rabbitmq: str = "",
    ) -> None:
        super().__init__(directory, processes, database.url)
        self.database = database
        self.env |= {"CACHE_URL": f"{self.env['BROKER_URL']}/1"}
        self.queues: Broker = Valkey(self)
        if rabbitmq:
            own = directory / "rabbitmq"
            own.mkdir()
            self.queues = Rabbit(rabbitmq, processes.enter_context(running_rabbitmq(own)))
        self.env |= self.queues.env()
        self.slowest_request: float | None = None  # seconds, where a test measures that
        self._supervised: Process | None = None
        # The options are those of relays and workers, which must know the overflow.
        self.env |= {"LOOP_OPTIONS": json.dumps(LOOP)}
        # A machine that hangs for some seconds is no broker that does: tests of that say so.
        self.env |= {"BROKER_SECONDS": str(PATIENCE)}

    def web(self, *args: Any, **options: Any) -> Web:
        return super().web({**LOOP, **options}, *args)

    def prefork(self, **env: str) -> Process:
        """Start a Celery worker with two processes."""
        return self.worker("--concurrency=2", "--without-mingle", "--without-gossip", **env)

    def relay(self, **env: str) -> Process:
        """Start a relay that looks into the outbox every second."""
        command = [*DJANGO, "relay_outbox", "--interval", "1"]
        relay = self.start(command, self.env | env)
        relay.wait_for("Relaying")
        return relay

    def up(self, **options: Any) -> tuple[Web, Process]:
        """Start a server, a relay and a worker at the same time; return the first and the last."""
        with ThreadPoolExecutor() as pool:
            web = pool.submit(self.web, **options)
            worker = self.rescue()
        return web.result(), worker

    def rescue(self) -> Process:
        """Start a relay and a worker at the same time; return the worker."""
        with ThreadPoolExecutor() as pool:
            relay = pool.submit(self.relay)
            worker = self.prefork()
            relay.result()
        return worker

    def supervise(self, worker: Process) -> None:
        """Start another worker whenever this one has ended, until all is settled."""
        self._supervised = worker

    # --- Faults ----------------------------------------------------------------------------------

    def kill(self, process: Process) -> None:
        """Kill a process and its children with -9."""
        main = psutil.Process(process.pid)
        for one in [main, *main.children(recursive=True)]:
            self.note_kill(one.pid)
        process.kill()

    def kill_child(self, process: Process) -> None:
        """Kill with -9 one child of a worker."""
        child = psutil.Process(process.pid).children()[0]
        self.note_kill(child.pid)
        child.kill()

    def note_kill(self, pid: int) -> None:
        self.ledger.note("kill", str(pid), circumstances("-"))

    def clear_cache(self) -> None:
        with redis.Redis.from_url(self.env["CACHE_URL"]) as client:
            client.flushdb()

    # --- What has happened -----------------------------------------------------------------------

    def histories(self) -> dict[str, History]:
        return histories(map(Line.parse, self.ledger.path.read_text().splitlines()))

    def rows(self) -> list[Row]:
        return self.database.rows()

    def settled(self) -> bool:
        if self._supervised and self._supervised.popen.poll() is not None:
            self._supervised = self.prefork()
        return all(row.dead for row in self.rows())

    def wait_settled(self, since: float, aim: float) -> float:
        """Wait until the outbox holds dead letters only; return the seconds since `since`.

        Fails after six times the seconds of `aim`, which are meant for a machine that is not busy.
        """
        wait_until(self.settled, "the outbox holds dead letters only", 6 * aim, pause=0.2)
        return time.monotonic() - since

    def counts(self, scenario: str, seconds: float, aim: float) -> Counts:
        return count(
            scenario,
            self.queues.name,
            self.database.name,
            self.histories(),
            self.rows(),
            refused=self.ledger.count("refuse"),
            seconds=seconds,
            aim=aim,
            request=self.slowest_request,
        )

    def verify(self) -> None:
        """Fail unless every promise was kept."""
        verify(self.histories(), self.rows())


class Load:
    """Requests from several threads, until the block is left; servers may die meanwhile.

    Arguments:
        choose: gives the server that the next request goes to.
        n: tasks in each request.
        threads: requests at once.
        pause: seconds between two requests of a thread.
        query: for the view.
    """

    def __init__(
        self,
        choose: Callable[[], Web],
        n: int,
        *,
        threads: int = 4,
        pause: float = 0.0,
        **query: Any,
    ) -> None:
        self.choose = choose
        self.n = n
        self.pause = pause
        self.query = query
        self.answers: list[Answer] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send) for _ in range(threads)]

    def _send(self) -> None:
        while not self._stop.is_set():
            with suppress(httpx.TransportError):  # the server was killed
                self.answers.append(accept(self.choose(), self.n, **self.query))
            self._stop.wait(self.pause)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
