"""Asks for the traces of web processes and of the relay."""

import time
from collections.abc import Iterator
from typing import Any

from hybrid_tasks.doctor.caches import part_of, scope_of
from hybrid_tasks.doctor.lines import Line, bad, doubtful, well
from hybrid_tasks.doctor.words import ago, counted, some, who
from hybrid_tasks.traces import last_relayed, serving

LATE = 3.0  # times its usual pause, for which the relay may be silent


def look_for_web(backend: Any) -> Iterator[Line]:
    """Yield which web processes run the tasks of an event-loop backend."""
    part, cache = f"web for {backend.alias!r}", backend.settings.result_cache
    if scope_of(cache) == "process":
        yield doubtful(part, "cannot be seen from here", f"Mend {part_of(cache)} first.")
        return
    traces = serving(cache, backend.alias)
    if traces:
        told = counted(len(traces), "process serves it", "processes serve it")
        yield well(part, f"{told}: {some([who(trace) for trace in traces])}")
        return
    overflow = backend.settings.overflow
    instead = (
        f"each of its tasks goes to {overflow!r}"
        if overflow
        else "its tasks run in whatever process enqueues them, and nobody takes over durable ones"
    )
    yield (doubtful if overflow else bad)(
        part,
        f"none serves it: {instead}",
        "Start the web server with its ASGI application wrapped in hybrid_tasks.lifespan.Lifespan,"
        f" and with this {part_of(cache)}.",
    )


def look_for_relay(cache: str) -> Iterator[Line]:
    """Yield when the relay last ran."""
    if scope_of(cache) == "process":
        yield doubtful("relay", "cannot be seen from here", f"Mend {part_of(cache)} first.")
        return
    advice = (
        "Let Celery beat send hybrid_tasks.relay_outbox every few seconds, or run manage.py"
        " relay_outbox."
    )
    trace = last_relayed(cache)
    if trace is None:
        told = "it has not run: nothing is sent that waits in the outbox, and nothing is rescued"
        yield bad("relay", told, advice)
        return
    age = time.time() - trace.since
    told = f"{ago(age)} ago, by {trace.host}:{trace.pid}"
    if age > LATE * trace.every:
        yield bad("relay", f"it does not run any more: it last did {told}", advice)
    else:
        yield well("relay", f"it last ran {told}")
