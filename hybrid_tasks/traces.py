"""Traces that processes leave in the result cache: by them `manage.py doctor` sees who lives.

Nothing else depends on them: while the cache is away there are none, and all else goes on.
"""

import logging
import math
import os
import socket
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Self
from urllib.parse import quote

from django.core.cache import caches

from hybrid_tasks.runtime import Runtime

logger = logging.getLogger("hybrid_tasks")

SERVES_SECONDS = 30.0  # that the trace of a web process outlives it, if it is killed
PLACES = 256  # web processes of one backend that are seen
RELAY_KEY = "hybrid_tasks:relay"
RELAY_EVERY = 5.0  # seconds between two traces of a process that relays more often
RELAY_SLOWEST = 60.0  # no relay is thought to be slower than that
RELAY_KEPT = 7 * 86_400  # seconds


@dataclass(frozen=True, slots=True)
class Trace:
    """What a process tells of itself; times are seconds of its own clock.

    Attributes:
        host: the machine.
        pid: the process.
        since: when it began to serve, or when it relayed.
        every: seconds since the trace before, for one that relays.
    """

    host: str
    pid: int
    since: float
    every: float = 0.0

    @classmethod
    def now(cls, every: float = 0.0) -> Self:
        """Return the trace of this process."""
        return cls(socket.gethostname(), os.getpid(), time.time(), every)

    @classmethod
    def read(cls, value: Any) -> Self | None:
        """Return a trace as the cache has it; None for what is none, as of another version."""
        try:
            return cls(str(value["host"]), int(value["pid"]), value["since"] + 0.0, value["every"])
        except (TypeError, KeyError, ValueError):
            return None


class Place:
    """The trace of a process that serves a backend, kept for as long as it is renewed.

    A cache cannot tell its keys, so each process takes one of many that are known. Each call is for
    a thread, may raise what the cache raises, and may be repeated.
    """

    def __init__(self, cache_alias: str, backend_alias: str) -> None:
        self._cache_alias = cache_alias
        self._keys = places(backend_alias)
        self._key = ""
        self._trace = asdict(Trace.now())

    def renew(self) -> None:
        """Keep the trace; take another place if this one was lost with the cache's content."""
        cache = caches[self._cache_alias]
        if self._is_ours() and cache.touch(self._key, SERVES_SECONDS):
            return
        free = (key for key in self._keys if cache.add(key, self._trace, SERVES_SECONDS))
        self._key = next(free, "")

    def leave(self) -> None:
        """Remove the trace."""
        if self._is_ours():
            caches[self._cache_alias].delete(self._key)

    def _is_ours(self) -> bool:
        return bool(self._key) and caches[self._cache_alias].get(self._key) == self._trace


def places(backend_alias: str) -> list[str]:
    name = quote(backend_alias, safe="")
    return [f"hybrid_tasks:serves:{name}:{number}" for number in range(PLACES)]


def serving(cache_alias: str, backend_alias: str) -> list[Trace]:
    """Return the traces of the processes that serve a backend. Raises what the cache raises."""
    found = caches[cache_alias].get_many(places(backend_alias))
    traces = [trace for value in found.values() if (trace := Trace.read(value))]
    return sorted(traces, key=lambda trace: trace.since)


class RelayTraces:
    """The traces of this process's runs of the relay."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._left_at = -math.inf

    def leave(self, cache_aliases: Iterable[str]) -> None:
        """Tell that the relay has run, now and then; raise nothing."""
        now = self._runtime.clock.monotonic()
        # Of a process that is stepped by hand nobody wants to know.
        if not self._runtime.threads or now - self._left_at < RELAY_EVERY:
            return
        self._left_at = now
        for alias in set(cache_aliases):
            try:
                before = last_relayed(alias)
                every = time.time() - before.since if before else RELAY_EVERY
                trace = Trace.now(every=min(max(every, RELAY_EVERY), RELAY_SLOWEST))
                caches[alias].set(RELAY_KEY, asdict(trace), RELAY_KEPT)
            except Exception as error:  # noqa: BLE001 - each cache has errors of its own
                logger.warning("The relay's trace cannot be kept in cache %r: %r", alias, error)


def last_relayed(cache_alias: str) -> Trace | None:
    """Return the trace of the relay's last run. Raises what the cache raises."""
    return Trace.read(caches[cache_alias].get(RELAY_KEY))
