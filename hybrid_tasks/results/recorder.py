"""Writes results from one thread, in batches; the event loop never waits for it."""

from hybrid_tasks.batches import BatchThread
from hybrid_tasks.grouping import grouped
from hybrid_tasks.results.store import ResultStore
from hybrid_tasks.results.task_result import TaskResult

type Entry = tuple[ResultStore, TaskResult]


class Recorder(BatchThread[str, Entry]):
    """Keeps the last state of each result until it is stored."""

    def __init__(self) -> None:
        super().__init__("hybrid-tasks-recorder", limit=100_000, linger=0.05)

    def record(self, store: ResultStore, result: TaskResult) -> None:
        """Store `result` soon; drop it, counted, if 100,000 others wait."""
        self.put(result.id, (store, result))

    def recorded(self, result_id: str) -> TaskResult | None:
        """Return a result that this process has recorded and not stored yet."""
        entry = self.peek(result_id)
        return entry[1] if entry else None

    def write(self, batch: dict[str, Entry]) -> None:
        for store, results in grouped(batch.values()).items():
            store.save(results)
        batch.clear()


recorder = Recorder()
