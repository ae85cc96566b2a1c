"""What was promised in the world and what was seen of it, task by task."""

from typing import TYPE_CHECKING, Any

from hybrid_tasks.results.task_result import Rank, TaskResult
from tests.world import stage
from tests.world.entry import FIRST, Entry, Reading, Run, Spec, told

if TYPE_CHECKING:
    from tests.world.process import Process
    from tests.world.world import World


class Ledger:
    """All tasks of a world by their labels."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.entries: dict[str, Entry] = {}
        self._by_id: dict[str, Entry] = {}

    def add(self, label: str, spec: Spec, process: "Process") -> Entry:
        entry = self.entries[label] = Entry(label, spec, process)
        if self.world.faults.cache:
            entry.forget()
        return entry

    def forget(self) -> None:
        """Note that look-ups get what rows know from now on, or what the cache knows again.

        Either may lag behind the other.
        """
        for entry in self.entries.values():
            entry.forget()

    def made(self, entry: Entry, result: TaskResult) -> None:
        """Note the result that a task has got."""
        entry.result = result
        self._by_id[result.id] = entry

    def by_id(self, task_id: str) -> Entry | None:
        return self._by_id.get(task_id)

    def begin(self, label: str, context: Any) -> Run:
        """Note that an attempt begins, and judge whether it may."""
        entry = self.entries[label]
        process = stage.process()
        assert process is not None
        result = context.task_result
        if entry.result is None:
            self.made(entry, result)
        run = Run(entry, process, result.generation, 1, process.lapses, self.world.time)
        run.unclaimed = self.world.faults.cache
        run.flaps = self.world.faults.flaps
        entry.generation = max(entry.generation, run.generation)
        run.number = 1 + sum(one.generation == run.generation for one in entry.runs)
        self._judge(run)
        entry.runs.append(run)
        return run

    def _judge(self, run: Run) -> None:
        entry, blame = run.entry, self.world.blame
        name = f"{entry.label} (attempt {run.number} on {run.process})"
        if run.number > entry.spec.attempts and not self._uncounted(entry):
            blame(f"{name} begins, but it may have {entry.spec.attempts} only")
        if run.generation in entry.given_up and not (
            self._uncounted(entry) or (entry.cancelled and entry.cancelled[1].lapsed)
        ):
            blame(f"{name} begins although it was called cancelled")
        elif entry.finished[run.generation] and not (
            self._uncounted(entry) or any(one.lapsed for one in (run.process, *entry.tellers))
        ):
            blame(f"{name} begins although the task had ended")
        if entry.durable:
            for other in entry.runs:
                if other.ended is None and not other.excused:
                    blame(f"{name} begins while attempt {other.number} runs on {other.process}")

    def _uncounted(self, entry: Entry) -> bool:
        """Return whether an ordinary task began when its attempts could not be counted.

        What is known of it is in the cache alone.
        """
        return not entry.durable and (entry.forgets > 0 or any(it.unclaimed for it in entry.runs))

    def finished(self, result: TaskResult, process: "Process") -> None:
        """Note a signal `task_finished`, and judge whether it may be sent."""
        entry = self.by_id(result.id)
        if entry is None:
            return
        entry.finished[result.generation] += 1
        others = [*entry.tellers, process]
        twice = entry.finished[result.generation] > 1
        if twice and not entry.forgets and not any(one.lapsed for one in others):
            self.world.blame(f"task_finished of {entry.label} was sent a second time by {process}")
        entry.tellers.append(process)
        for error in result.errors:
            if not entry.spec.explains(error.exception_class_path):
                name = error.exception_class_path
                self.world.blame(f"{entry.label} has an error that it did not raise: {name}")

    def read(self, entry: Entry, process: "Process", before: Reading, rank: Rank) -> None:
        """Note a state that somebody has read, and judge it by what was read before."""
        if before.forgets != entry.forgets:
            return
        floor = max(before.known, before.known_here)
        if rank < floor:
            self.world.blame(
                f"{process} reads {told(rank)} of {entry.label} after {told(floor)} was read"
            )
        here = entry.known_by.get(process.name, FIRST)
        entry.known_by[process.name] = max(here, rank)
        entry.known = max(entry.known, min(rank, self.world.kept_rank(entry)))

    def reading(self, entry: Entry, process: "Process") -> Reading:
        """Return what is known when a look-up begins."""
        here = entry.known_by.get(process.name, FIRST)
        has_row = any(row["id"] == entry.id for row in self.world.rows())
        tried = bool(entry.tried)
        return Reading(entry.known, here, entry.forgets, process.cuts, tried, has_row)
