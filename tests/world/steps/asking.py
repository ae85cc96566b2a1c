"""What somebody asks about a task, and what is judged by the answer."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from django.db import DatabaseError
from django.tasks.exceptions import TaskResultDoesNotExist

from hybrid_tasks.finding import hybrid_backend
from hybrid_tasks.results.task_result import TaskResult
from tests.world.entry import Entry, Reading
from tests.world.process import Process
from tests.world.steps.step import ProcessStep
from tests.world.web import Web

if TYPE_CHECKING:
    from tests.world.world import World

UNSURE = (ConnectionError, DatabaseError, TimeoutError)


class TaskStep(ProcessStep):
    """What is done in a process about a task that has a result."""

    task: str
    on_loop: bool = True

    def happen(self, world: "World", process: Process) -> bool:
        """See Step."""
        entry = world.ledger.entries.get(self.task)
        if entry is None or entry.result is None or entry.accepted is None:
            return False
        name = f"{type(self).__name__.lower()} {self.task}"
        told = partial(self.told, world, process, entry, self.before(process, entry))
        backend: Any = hybrid_backend(entry.spec.alias)
        if self.on_loop and isinstance(process, Web):
            if not process.serving or process.stopping:
                return False
            process.request(name, lambda: self.abegin(backend, entry.id), told)
        else:
            process.ask(name, lambda: self.begin(backend, entry.id), told)
        return True

    def before(self, process: Process, entry: Entry) -> Any:
        """Return what is known when this begins."""

    def begin(self, backend: Any, task_id: str) -> Any:
        """Do it, in a thread."""

    async def abegin(self, backend: Any, task_id: str) -> Any:
        """Do it, on the loop."""

    def told(
        self, world: "World", process: Process, entry: Entry, before: Any, answer: Any
    ) -> None:
        """Judge what it returned or raised."""


@dataclass(frozen=True)
class Look(TaskStep):
    """Somebody looks a task up."""

    process: str
    task: str
    on_loop: bool = True

    def before(self, process: Process, entry: Entry) -> Reading:
        """See TaskStep."""
        return process.world.ledger.reading(entry, process)

    def begin(self, backend: Any, task_id: str) -> Any:
        """See TaskStep."""
        return backend.get_result(task_id)

    async def abegin(self, backend: Any, task_id: str) -> Any:
        """See TaskStep."""
        return await backend.aget_result(task_id)

    def told(
        self, world: "World", process: Process, entry: Entry, before: Any, answer: Any
    ) -> None:
        """See TaskStep."""
        if isinstance(answer, TaskResult):
            world.ledger.read(entry, process, before, answer.rank)
        elif isinstance(answer, TaskResultDoesNotExist):
            world.not_found(entry, process, before)
        elif not isinstance(answer, ConnectionError):
            world.blame(f"{process}: the look-up of {entry.label} raised {answer!r}")

    def __str__(self) -> str:
        return f"{self.process}: {place(self.on_loop)} looks {self.task} up"


@dataclass(frozen=True)
class Cancel(TaskStep):
    """Somebody cancels a task."""

    process: str
    task: str
    on_loop: bool = True

    def begin(self, backend: Any, task_id: str) -> Any:
        """See TaskStep."""
        return backend.cancel(task_id)

    async def abegin(self, backend: Any, task_id: str) -> Any:
        """See TaskStep."""
        return await backend.acancel(task_id)

    def before(self, process: Process, entry: Entry) -> Reading:
        """See TaskStep."""
        reading = process.world.ledger.reading(entry, process)
        entry.tried.add(entry.generation)
        return reading

    def told(
        self, world: "World", process: Process, entry: Entry, before: Any, answer: Any
    ) -> None:
        """See TaskStep."""
        if answer is False and self._was_here(process, entry, before):
            world.blame(f"{process} says that it cannot cancel {entry.label}, which waits there")
        if answer is True:
            entry.cancelled = (entry.generation, process)
        elif isinstance(answer, TaskResultDoesNotExist):
            world.not_found(entry, process, before)
        elif answer is not False and not isinstance(answer, UNSURE):
            world.blame(f"{process}: the cancelling of {entry.label} raised {answer!r}")

    def _was_here(self, process: Process, entry: Entry, before: Reading) -> bool:
        """Return whether the task had not begun, nowhere but in that process."""
        waits = entry.process is process and entry.spec.alias == "default" and not entry.runs
        if entry.durable and not self._has_row(process, entry):
            return False  # others went on with it, as this process was too slow
        untouched = not (process.stopping or process.lapsed or before.tried or entry.over)
        return waits and untouched and process.work_exists(entry.id)

    def _has_row(self, process: Process, entry: Entry) -> bool:
        ours = (process.runtime.holder, "")
        return any(r["id"] == entry.id and r["claimed_by"] in ours for r in process.world.rows())

    def __str__(self) -> str:
        return f"{self.process}: {place(self.on_loop)} cancels {self.task}"


def place(on_loop: bool) -> str:
    return "a request" if on_loop else "a thread"
