"""The world that is being played now; the seams under the core have no other way to it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.world.process import Process
    from tests.world.world import World

_worlds: "list[World]" = []


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
