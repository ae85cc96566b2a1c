"""What operators and the relay do with rows."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from django.db import DatabaseError

from hybrid_tasks.relay import interventions
from hybrid_tasks.relay.relaying import relay
from tests.world.entry import Entry
from tests.world.process import Process
from tests.world.steps.step import ProcessStep

if TYPE_CHECKING:
    from tests.world.world import World


class Operation(ProcessStep):
    """What an operator does with the row of a task."""

    task: str

    def happen(self, world: "World", process: Process) -> bool:
        """See Step."""
        entry = world.ledger.entries.get(self.task)
        if entry is None or entry.accepted is None:
            return False
        if isinstance(self, Discard):
            # Also if a retry has begun another life of it when this comes to its row.
            entry.tried |= {entry.generation, entry.generation + 1}
        name = f"{type(self).__name__.lower()} {self.task}"
        told = partial(self.told, process, entry)
        process.ask(name, partial(self.operate, [entry.id]), told)
        return True

    operate: Callable[[list[str]], list[str]]

    def told(self, process: Process, entry: Entry, answer: Any) -> None:
        """Judge what it returned or raised."""
        if not isinstance(answer, list | DatabaseError):
            process.world.blame(f"an operation on {entry.label} raised {answer!r}")


@dataclass(frozen=True)
class Retry(Operation):
    """An operator lets a dead letter, or what waits, run."""

    process: str
    task: str
    operate = staticmethod(interventions.retry)

    def __str__(self) -> str:
        return f"{self.process}: an operator retries {self.task}"


@dataclass(frozen=True)
class Discard(Operation):
    """An operator discards a row."""

    process: str
    task: str
    operate = staticmethod(interventions.discard)

    def told(self, process: Process, entry: Entry, answer: Any) -> None:
        """See Operation."""
        super().told(process, entry, answer)
        # Where its code is not known, nobody hears of the end of one whose message is on its way.
        heard = entry.durable or process.knows(entry.spec.kind)
        if answer == [entry.id] and heard:
            entry.discarded = entry.generation

    def __str__(self) -> str:
        return f"{self.process}: an operator discards {self.task}"


@dataclass(frozen=True)
class Relay(ProcessStep):
    """The relay runs once."""

    process: str

    def happen(self, world: "World", process: Process) -> bool:
        """See Step."""
        if process.has("relay"):
            return False
        process.ask("relay", relay, partial(self._told, world, process))
        return True

    def _told(self, world: "World", process: Process, answer: Any) -> None:
        if isinstance(answer, BaseException) and not isinstance(answer, DatabaseError):
            world.blame(f"the relay on {process} raised {answer!r}")

    def __str__(self) -> str:
        return f"{self.process}: the relay runs"
