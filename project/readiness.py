"""Whether this process can serve pages now: database, migrations and cache are asked."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from django.core.cache import cache
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

LIMIT = 2.0  # seconds that a part has to answer
KEEP = 1.0  # seconds for which an answer holds, so that asking often costs nothing

logger = logging.getLogger("project.readiness")


def ask_database() -> str:
    """Return "migrations" if some are not applied. Raises what a database raises that is away."""
    try:
        executor = MigrationExecutor(connection)
        pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
    finally:
        connection.close()  # of a thread that ends now
    return "migrations" if pending else ""


def ask_cache() -> str:
    """Return "". Raises what a cache raises that is away."""
    cache.get("readyz")
    return ""


class Part:
    """Something that pages need. One question is under way at most, whoever asks how often.

    Arguments:
        name: what is said to be missing when it does not answer.
        ask: returns what is missing or ""; it may raise, and hang. It runs in a thread.
    """

    def __init__(self, name: str, ask: Callable[[], str]) -> None:
        self.name = name
        self.ask = ask
        self._answer: Future[str] | None = None

    async def missing(self) -> str:
        """Return the name of what is missing or "", after LIMIT seconds at the most."""
        if self._answer is None or self._answer.done():
            self._answer = Future()
            # A daemon: a part that hangs must not keep the server from its stop.
            thread = threading.Thread(target=self._run, args=[self._answer], daemon=True)
            thread.start()
        answer = asyncio.wrap_future(self._answer)
        await asyncio.wait([answer], timeout=LIMIT)
        return answer.result() if answer.done() else self.name

    def _run(self, answer: Future[str]) -> None:
        try:
            answer.set_result(self.ask())
        except Exception as error:  # noqa: BLE001 - whatever it is, the part is of no use now
            # Into the log only: what a driver says may name hosts and users.
            logger.warning("%s: %s", self.name, error)
            answer.set_result(self.name)


class Readiness:
    """Asks all parts at once and keeps what they said for KEEP seconds."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = parts
        self._asking: asyncio.Task[list[str]] | None = None
        self._good_until = 0.0

    async def missing(self) -> list[str]:
        """Return the names of what is missing; none means that pages can be served."""
        if self._asking is None or (self._asking.done() and time.monotonic() >= self._good_until):
            self._asking = asyncio.create_task(self._ask())
        # A visitor who leaves takes nobody's answer along.
        return await asyncio.shield(self._asking)

    async def _ask(self) -> list[str]:
        answers = await asyncio.gather(*(part.missing() for part in self.parts))
        self._good_until = time.monotonic() + KEEP
        return [answer for answer in answers if answer]


def project_readiness() -> Readiness:
    """Return what /readyz/ of this project asks."""
    return Readiness([Part("database", ask_database), Part("cache", ask_cache)])
