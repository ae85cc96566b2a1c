"""The broker of the world: it loses, doubles, delays and reorders what it is given."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.world import stage

if TYPE_CHECKING:
    from tests.world.worker import Worker

VISIBILITY = 30.0  # seconds after which it delivers again what was not acknowledged


@dataclass(eq=False)
class Letter:
    """A message on its way to a worker.

    Attributes:
        task_id: of the task in it.
        raw: the message as it was published.
        redelivered: whether it has been delivered before.
    """

    task_id: str
    raw: dict[str, Any]
    redelivered: bool = False

    def delivered(self) -> dict[str, Any]:
        """Return the message as a worker gets it."""
        properties = dict(self.raw["properties"])
        properties["delivery_info"] = properties["delivery_info"] | {
            "redelivered": self.redelivered
        }
        return self.raw | {"properties": properties, "headers": dict(self.raw["headers"])}


@dataclass
class Broker:
    """What waits for workers, and what they have taken and not acknowledged.

    Attributes:
        waiting: in the order of arrival.
        taken: with the worker that has it and the time at which it is delivered again.
    """

    waiting: list[Letter] = field(default_factory=list)
    taken: "dict[Letter, tuple[Worker, float]]" = field(default_factory=dict)

    def put(self, _queue: str, raw: dict[str, Any]) -> None:
        """Take a message from a publisher. Raises BrokerAway if its answer is lost."""
        self.waiting.append(Letter(raw["headers"]["id"], raw))
        process = stage.process()
        if process is not None:
            process.world.faults.after_sending(process)

    def tell(self, command: dict[str, Any]) -> None:
        """Give a control command to all workers that listen."""
        for worker in stage.world().workers():
            if worker.active:
                worker.commands.append(command)

    def letters(self, task_id: str) -> list[Letter]:
        """Return what waits for workers with this task."""
        return [letter for letter in self.waiting if letter.task_id == task_id]

    def take(self, letter: Letter, worker: "Worker") -> None:
        self.waiting.remove(letter)
        self.taken[letter] = (worker, worker.world.time + VISIBILITY)

    def acknowledge(self, letter: Letter) -> None:
        self.taken.pop(letter, None)

    def reject(self, letter: Letter, requeue: bool) -> None:
        if self.taken.pop(letter, None) and requeue:
            self.waiting.append(Letter(letter.task_id, letter.raw, redelivered=True))

    def restore(self, worker: "Worker") -> None:
        """Deliver again what a worker had that stops in order."""
        for letter, (taker, _) in list(self.taken.items()):
            if taker is worker:
                self.reject(letter, requeue=True)

    def restore_late(self, now: float) -> bool:
        """Deliver again what was not acknowledged in time; return whether there was anything."""
        late = [letter for letter, (_, end) in self.taken.items() if end <= now]
        for letter in late:
            self.reject(letter, requeue=True)
        return bool(late)
