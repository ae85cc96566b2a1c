"""Asks the result caches: whether they keep what they are given, and for whom."""

import time
import uuid
from collections.abc import Iterator
from typing import Any

from django.core.cache import caches

from hybrid_tasks.doctor.lines import Line, bad, doubtful, well
from hybrid_tasks.doctor.words import milliseconds
from hybrid_tasks.results.store import PROBE_PREFIX

PROBE_SECONDS = 120  # that a probe is kept, for workers to read it


def scope_of(alias: str) -> str:
    """Return who shares a cache: "process", "machine", or "" for all that is known."""
    module = type(caches[alias]).__module__
    if module.endswith((".locmem", ".dummy")):
        return "process"
    return "machine" if module.endswith(".filebased") else ""


def part_of(alias: str) -> str:
    return f"cache {alias!r}"


def advice(alias: str) -> str:
    return (
        f"Let CACHES[{alias!r}] be one that all processes share and reach, such as"
        " hybrid_tasks.caches.RedisCache."
    )


def look_at_cache(alias: str, probes: dict[str, str], *, needed: bool) -> Iterator[Line]:
    """Write and read a probe, whose name is left in `probes`; yield what came of it.

    Arguments:
        needed: whether processes of other programs, Celery's workers, have to read the cache.
    """
    part, cache, name = part_of(alias), caches[alias], uuid.uuid4().hex
    kind = type(cache).__name__
    began = time.monotonic()
    cache.set(f"{PROBE_PREFIX}{name}", name, PROBE_SECONDS)
    kept: Any = cache.get(f"{PROBE_PREFIX}{name}")
    took = milliseconds(time.monotonic() - began)
    scope = scope_of(alias)
    if kept != name:
        yield bad(part, f"{kind} does not keep what is written into it", advice(alias))
        return
    if scope == "process":
        told = f"{kind} is another one in each process: results are seen by none but their own"
        yield bad(part, told, advice(alias)) if needed else doubtful(part, told, advice(alias))
        return
    probes[alias] = name
    if scope == "machine":
        told = f"{kind} is another one on each machine; written and read in {took}"
        yield doubtful(part, told, advice(alias))
    else:
        yield well(part, f"{kind}: written and read in {took}")
