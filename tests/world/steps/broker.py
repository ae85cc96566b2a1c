"""What the broker does with messages."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.world.broker import Letter
from tests.world.process import Process
from tests.world.steps.step import ProcessStep, Step
from tests.world.worker import Worker

if TYPE_CHECKING:
    from tests.world.world import World


class LetterStep(Step):
    """What happens to the first message with a task that waits for workers."""

    task: str

    def take(self, world: "World") -> bool:
        """See Step."""
        letter = first(world, self.task)
        if letter is None:
            return False
        self.happen(world, letter)
        return True

    def happen(self, world: "World", letter: Letter) -> None:
        """See Step.take()."""


def first(world: "World", task: str) -> Letter | None:
    entry = world.ledger.entries.get(task)
    letters = world.broker.letters(entry.id) if entry is not None and entry.id else []
    return letters[0] if letters else None


@dataclass(frozen=True)
class Deliver(ProcessStep):
    """A worker takes a message; they come in any order."""

    process: str
    task: str

    def happen(self, world: "World", process: Process) -> bool:
        """See Step."""
        letter = first(world, self.task)
        can_take = isinstance(process, Worker) and not process.stopping
        if letter is None or not can_take or world.faults.broker:
            return False
        assert isinstance(process, Worker)
        process.take(letter, self.task)
        return True

    def __str__(self) -> str:
        return f"{self.process} takes a message with {self.task}"


@dataclass(frozen=True)
class Lose(LetterStep):
    """The broker loses a message."""

    task: str

    def happen(self, world: "World", letter: Letter) -> None:
        """See LetterStep."""
        world.broker.waiting.remove(letter)
        world.ledger.entries[self.task].lost = True

    def __str__(self) -> str:
        return f"the broker loses a message with {self.task}"


@dataclass(frozen=True)
class Double(LetterStep):
    """The broker has a message twice."""

    task: str

    def happen(self, world: "World", letter: Letter) -> None:
        """See LetterStep."""
        world.broker.waiting.append(Letter(letter.task_id, letter.raw))

    def __str__(self) -> str:
        return f"the broker has a message with {self.task} twice"


@dataclass(frozen=True)
class Redeliver(Step):
    """The broker waits no longer for the acknowledgement of a task's message."""

    task: str

    def take(self, world: "World") -> bool:
        """See Step."""
        entry = world.ledger.entries.get(self.task)
        for letter in list(world.broker.taken):
            if entry is not None and letter.task_id == entry.id:
                world.broker.reject(letter, requeue=True)
                return True
        return False

    def __str__(self) -> str:
        return f"the broker delivers a message with {self.task} again"


@dataclass(frozen=True)
class LoseReceipt(ProcessStep):
    """The broker gets the next message of a process, whom it does not tell so."""

    process: str

    def happen(self, world: "World", process: Process) -> bool:
        """See Step."""
        world.faults.lost_sends.add(process.name)
        return True

    def __str__(self) -> str:
        return f"{self.process} will not hear that its next message has arrived"
