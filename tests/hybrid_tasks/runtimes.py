"""Runtimes of their own for tests: a process that begins anew, and ends with the test."""

from collections.abc import Iterator
from contextlib import contextmanager

from hybrid_tasks import runtime as room
from hybrid_tasks.engine import Engine
from hybrid_tasks.execution.threads import Pool
from hybrid_tasks.outbox.dead_letters import Announcer
from hybrid_tasks.runtime import Clock, Runtime
from tests.processes import PATIENCE


class HandClock(Clock):
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.seconds = super().monotonic()

    def monotonic(self) -> float:
        return self.seconds


@contextmanager
def own_runtime(runtime: Runtime | None = None) -> Iterator[Runtime]:
    """Let a runtime, or a new one, be the current one in the block; then it ends in order."""
    with room.use(runtime or Runtime()) as own:
        try:
            yield own
        finally:
            settle(own)
            end(own)


def settle(runtime: Runtime) -> None:
    """Wait until all is written: what one writes can be for another to write."""
    assert runtime.flush(PATIENCE), {
        one.name: f"{len(one)} are left{one.failure}" for one in engines(runtime)
    }


def engines(runtime: Runtime) -> list[Engine[object, object]]:
    """Return what writes in the background of a runtime."""
    return [part for part in runtime.steppables if isinstance(part, Engine)]


def end(runtime: Runtime) -> None:
    """End the threads of a runtime that has nothing to do."""
    for one in engines(runtime):
        one.stop(PATIENCE)
        assert one._thread is None or not one._thread.is_alive()
    for part in runtime._parts.values():
        if isinstance(part, Pool):
            part.shutdown(wait=False)  # a thread that sleeps is not waited for
        elif isinstance(part, Announcer):
            part._thread.shutdown()
