"""What breaks outside of the processes, and is mended."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from django.tasks.signals import task_enqueued, task_finished, task_started

from tests.world.process import Process
from tests.world.steps.step import ProcessStep, Step

if TYPE_CHECKING:
    from tests.world.world import World

SIGNALS = (task_enqueued, task_started, task_finished)

type Service = Literal["database", "cache", "broker"]


@dataclass(frozen=True)
class Away(Step):
    """A service cannot be reached any more, or can be again."""

    service: Service
    away: bool = True

    def take(self, world: "World") -> bool:
        """See Step."""
        if getattr(world.faults, self.service) is self.away:
            return False
        if self.service == "database":
            world.faults.lose_database(world.time, away=self.away)
        else:
            setattr(world.faults, self.service, self.away)
        if self.service == "cache":
            world.ledger.forget()
        return True

    def __str__(self) -> str:
        return f"the {self.service} is {'away' if self.away else 'back'}"


@dataclass(frozen=True)
class CutOff(ProcessStep):
    """A process cannot reach the database, although others can; or it can again."""

    process: str
    away: bool = True

    def applies(self, process: Process) -> bool:
        """See ProcessStep."""
        return process.alive

    def happen(self, world: "World", process: Process) -> bool:
        """See Step."""
        cut_off = world.faults.cut_off
        if (process.name in cut_off) is self.away:
            return False
        if self.away:
            cut_off.add(process.name)
            process.lapses += 1
        else:
            cut_off.discard(process.name)
        return True

    def __str__(self) -> str:
        reaches = "cannot reach" if self.away else "reaches"
        return f"{self.process} {reaches} the database{'' if self.away else ' again'}"


@dataclass(frozen=True)
class Stumble(ProcessStep):
    """The connection of a process to the database breaks once, at one of its next statements."""

    process: str
    statements: int

    def happen(self, world: "World", process: Process) -> bool:
        """See Step."""
        world.faults.stumbles[process.name] = self.statements
        return True

    def __str__(self) -> str:
        return f"{self.process} will lose its database connection at statement {self.statements}"


@dataclass(frozen=True)
class LoseAnswer(ProcessStep):
    """The next commit of a process succeeds, but the answer is lost."""

    process: str

    def happen(self, world: "World", process: Process) -> bool:
        """See Step."""
        world.faults.lost_commits.add(process.name)
        return True

    def __str__(self) -> str:
        return f"{self.process} will not hear of its next commit"


@dataclass(frozen=True)
class Forget(Step):
    """The cache forgets a task's state, or all states (and not what claims ordinary attempts)."""

    task: str = ""

    def take(self, world: "World") -> bool:
        """See Step."""
        entries = world.ledger.entries
        lost = [entries[self.task]] if self.task in entries else []
        if not self.task:
            lost = list(entries.values())
        forgotten = [world.forget(entry) for entry in lost]
        return any(forgotten)

    def __str__(self) -> str:
        return f"the cache forgets {self.task or 'everything'}"


async def hear(**_kwargs: object) -> None:
    """Hear of a task, on a loop."""
    await asyncio.sleep(0)


def forget_receivers() -> None:
    for sent in SIGNALS:
        sent.disconnect(hear)


@dataclass(frozen=True)
class Receive(Step):
    """From now on signals have async receivers."""

    def take(self, world: "World") -> bool:
        """See Step."""
        if world.async_receivers:
            return False
        world.async_receivers = True
        for sent in SIGNALS:
            sent.connect(hear)
        return True

    def __str__(self) -> str:
        return "signals have async receivers from now on"
