"""What happens to processes."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.world.child import Child
from tests.world.process import Process
from tests.world.steps.step import ProcessStep, Step
from tests.world.web import Web
from tests.world.worker import Worker

if TYPE_CHECKING:
    from tests.world.world import World

KINDS: dict[str, type[Process]] = {kind.kind: kind for kind in (Process, Web, Worker)}


@dataclass(frozen=True)
class Start(Step):
    """A process starts, with a clock that may be wrong; an old version does not know all tasks."""

    process: str
    kind: str = "web"
    skew: float = 0.0
    version: int = 2

    def take(self, world: "World") -> bool:
        """See Step."""
        if self.process in world.processes:
            return False
        kind = KINDS[self.kind]
        world.start(kind(world, self.process, skew=self.skew, version=self.version))
        return True

    def __str__(self) -> str:
        words = f"{self.process} starts, a {self.kind} process"
        words += " of the old version" if self.version < 2 else ""
        return words + (f"; its clock is {self.skew:+g} s off" if self.skew else "")


@dataclass(frozen=True)
class Go(ProcessStep):
    """A thread goes on: to its next points, or until it waits."""

    process: str
    thread: str
    points: int = 0
    pick: int = 0

    def happen(self, world: "World", process: Process) -> bool:
        """See Step."""
        thread = process.threads.get(self.thread)
        if thread is None or not thread.runnable():
            return False
        for loop in process.loops:
            loop.pick = self.pick
        world.resume(thread, self.points)
        return True

    def __str__(self) -> str:
        words = f"{self.process}: {self.thread} goes on"
        if self.thread == "loop" and self.pick:
            words += f" with callback {self.pick}"
        return words + (f" for {self.points} points" if self.points else "")


@dataclass(frozen=True)
class Settle(ProcessStep):
    """A process does all that it can do now; without a name, all processes do."""

    process: str = ""

    def take(self, world: "World") -> bool:
        """See Step."""
        if self.process:
            return super().take(world)
        world.settle()
        return True

    def happen(self, world: "World", process: Process) -> bool:
        """See Step."""
        if not process.runnable():
            return False
        world.settle(process)
        return True

    def __str__(self) -> str:
        return f"{self.process or 'everybody'} does all that can be done now"


@dataclass(frozen=True)
class Pass(Step):
    """Time passes."""

    seconds: float

    def take(self, world: "World") -> bool:
        """See Step."""
        world.pass_time(self.seconds)
        return True

    def __str__(self) -> str:
        return f"{self.seconds:g} s pass"


@dataclass(frozen=True)
class Crash(ProcessStep):
    """A process is killed (-9)."""

    process: str

    def applies(self, process: Process) -> bool:
        """See ProcessStep."""
        return process.alive

    def happen(self, world: "World", process: Process) -> bool:
        """See Step."""
        world.crash(process)
        return True

    def __str__(self) -> str:
        return f"{self.process} is killed"


@dataclass(frozen=True)
class Stop(ProcessStep):
    """A process is told to stop (SIGTERM)."""

    process: str

    def applies(self, process: Process) -> bool:
        """See ProcessStep."""
        return process.active and not process.stopping and not isinstance(process, Child)

    def happen(self, world: "World", process: Process) -> bool:
        """See Step."""
        process.stop()
        return True

    def __str__(self) -> str:
        return f"{self.process} is told to stop"


@dataclass(frozen=True)
class EndLoop(ProcessStep):
    """The loop of a web process ends by itself: all that runs on it is cancelled."""

    process: str

    def applies(self, process: Process) -> bool:
        """See ProcessStep."""
        return process.active and process.serving and not process.stopping

    def happen(self, world: "World", process: Process) -> bool:
        """See Step."""
        if not isinstance(process, Web):
            return False
        process.end_loop()
        return True

    def __str__(self) -> str:
        return f"the loop of {self.process} ends"


@dataclass(frozen=True)
class Hang(ProcessStep):
    """A process hangs, as a virtual machine that is stopped, until it goes on."""

    process: str

    def happen(self, world: "World", process: Process) -> bool:
        """See Step."""
        process.hung = True
        process.lapses += 1
        return True

    def __str__(self) -> str:
        return f"{self.process} hangs"


@dataclass(frozen=True)
class Awake(ProcessStep):
    """A process that hung goes on."""

    process: str

    def applies(self, process: Process) -> bool:
        """See ProcessStep."""
        return process.alive and process.hung

    def happen(self, world: "World", process: Process) -> bool:
        """See Step."""
        process.hung = False
        return True

    def __str__(self) -> str:
        return f"{self.process} goes on after it hung"
