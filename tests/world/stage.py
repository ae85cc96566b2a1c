"""The world that is being played now; the seams under the core have no other way to it."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.world.process import Process
    from tests.world.world import World

_worlds: "list[World]" = []
_shared: list[Any] = [None]


def enter(world: "World") -> None:
    _worlds.append(world)


def leave() -> None:
    _worlds.pop()


def world() -> "World":
    """Return the world that is being played. Raises LookupError outside of one."""
    if not _worlds:
        raise LookupError("No world is being played.")
    return _worlds[-1]


def process() -> "Process | None":
    """Return the simulated process whose code runs now, if it is one's."""
    from hybrid_tasks.runtime import current
    from tests.world.runtime import SimRuntime

    runtime = current()
    return runtime.process if isinstance(runtime, SimRuntime) else None


def share(connection: Any) -> None:
    """Let all simulated processes use this connection to the database."""
    _shared[0] = connection


def connection() -> Any:
    """Return the connection that all simulated processes share."""
    return _shared[0]


def transacting() -> bool:
    """Return whether a transaction is open on it: then nobody else can have a turn."""
    return _shared[0] is not None and bool(_shared[0].in_atomic_block)
