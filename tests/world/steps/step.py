"""A step of a history."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from tests.world.process import Process
from tests.world.world import acting

if TYPE_CHECKING:
    from tests.world.world import World

__all__ = ["ProcessStep", "Step", "acting"]


class Step(ABC):
    """One thing that happens. Its `str` is what a person reads."""

    @abstractmethod
    def take(self, world: "World") -> bool:
        """Let it happen; return whether it applied."""


class ProcessStep(Step):
    """Something that a process does, or that is done to it, while it is there."""

    process: str

    def take(self, world: "World") -> bool:
        """See Step."""
        found = world.processes.get(self.process)
        if found is None or not self.applies(found):
            return False
        with acting(found):
            return self.happen(world, found)

    def applies(self, process: Process) -> bool:
        return process.active

    @abstractmethod
    def happen(self, world: "World", process: Process) -> bool:
        """See Step.take(); `process` is the current one."""
