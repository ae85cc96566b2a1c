"""How tasks are enqueued."""

from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from django.db import DatabaseError, transaction

from hybrid_tasks.exceptions import BrokerUnavailable, OutboxUnavailable, TaskQueueFull
from hybrid_tasks.results.task_result import TaskResult
from tests.world.entry import Entry, Spec
from tests.world.process import Process
from tests.world.steps.step import ProcessStep
from tests.world.tasks import BACKOFFS, TASKS
from tests.world.web import Web

if TYPE_CHECKING:
    from tests.world.world import World

REFUSALS = (OutboxUnavailable, BrokerUnavailable, TaskQueueFull, DatabaseError)


class Undone(Exception):
    """A transaction is rolled back."""


@dataclass(frozen=True)
class Enqueue(ProcessStep):
    """A task is enqueued, by a request on the loop or by code in a thread."""

    process: str
    task: str
    spec: Spec
    on_loop: bool = True

    def happen(self, world: "World", process: Process) -> bool:
        """See Step."""
        if self.task in world.ledger.entries or not process.serving or process.stopping:
            return False
        on_loop = self.on_loop and isinstance(process, Web)
        entry = world.ledger.add(self.task, self.spec, process)
        told = partial(accept, world, entry)
        if on_loop and isinstance(process, Web):
            process.request(self.task, lambda: made(process, entry).aenqueue(self.task), told)
        else:
            process.ask(
                f"enqueue {self.task}", lambda: made(process, entry).enqueue(self.task), told
            )
        return True

    def __str__(self) -> str:
        how = "a request enqueues" if self.on_loop else "a thread enqueues"
        return f"{self.process}: {how} {self.task}, a {self.spec}"


@dataclass(frozen=True)
class EnqueueTogether(ProcessStep):
    """Tasks are enqueued in one transaction, which is committed or rolled back."""

    process: str
    tasks: tuple[tuple[str, Spec], ...]
    commit: bool = True

    def happen(self, world: "World", process: Process) -> bool:
        """See Step."""
        if not process.serving or process.stopping:
            return False
        if any(label in world.ledger.entries for label, _ in self.tasks):
            return False
        entries = [world.ledger.add(label, spec, process) for label, spec in self.tasks]
        process.ask(
            f"enqueue {self.tasks[0][0]}",
            lambda: self._transact(world, process, entries),
            partial(self._told, world, entries),
        )
        return True

    def _transact(self, world: "World", process: Process, entries: list[Entry]) -> None:
        hooks: list[str] = []
        try:
            with transaction.atomic():
                transaction.on_commit(lambda: hooks.append("first"))
                for entry in entries:
                    world.ledger.made(entry, made(process, entry).enqueue(entry.label))
                transaction.on_commit(lambda: hooks.append("last"))
                if not self.commit:
                    raise Undone
        finally:
            if hooks == ["first"] and process.alive:
                world.blame(f"another commit hook of {process} was not called")

    def _told(self, world: "World", entries: list[Entry], answer: Any) -> None:
        for entry in entries:
            accept(world, entry, entry.result if answer is None else answer)

    def __str__(self) -> str:
        tasks = ", ".join(f"{label} (a {spec})" for label, spec in self.tasks)
        end = "and commits" if self.commit else "and rolls back"
        return f"{self.process}: a transaction enqueues {tasks} {end}"


def made(process: Process, entry: Entry) -> Any:
    """Return the task of an entry."""
    spec = entry.spec
    after = None
    if spec.after is not None:
        after = process.runtime.clock.now() + timedelta(seconds=spec.after)
    return TASKS[spec.kind].using(
        backend=spec.alias,
        durable=spec.durable,
        max_attempts=spec.attempts,
        backoff=BACKOFFS[spec.backoff],
        run_after=after,
        timeout=spec.timeout,
        priority=spec.priority,
    )


def accept(world: "World", entry: Entry, answer: Any) -> None:
    """Note what `enqueue` returned or raised."""
    if isinstance(answer, TaskResult):
        world.ledger.made(entry, answer)
        entry.accepted = world.time
    elif isinstance(answer, (*REFUSALS, Undone)):
        entry.refused = answer
    else:
        world.blame(f"enqueue of {entry.label} raised {answer!r}")


@dataclass(frozen=True)
class Disconnect(ProcessStep):
    """The client of a request that enqueues goes away."""

    process: str
    task: str

    def happen(self, world: "World", process: Process) -> bool:
        """See Step."""
        return isinstance(process, Web) and process.disconnect(self.task)

    def __str__(self) -> str:
        return f"{self.process}: the client that enqueues {self.task} goes away"
