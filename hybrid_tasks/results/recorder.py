"""Writes results from one thread, in batches; the event loop never waits for it."""

from hybrid_tasks.engine import Engine
from hybrid_tasks.grouping import grouped
from hybrid_tasks.results.store import ResultStore, is_away
from hybrid_tasks.results.task_result import TaskResult, may_follow
from hybrid_tasks.runtime import current

type Entry = tuple[ResultStore, TaskResult]


class Recorder(Engine[str, Entry]):
    """Keeps the last state of each result until it is stored."""

    name = "hybrid-tasks-recorder"
    linger = 0.05

    def record(self, store: ResultStore, result: TaskResult) -> None:
        """Store `result` soon; drop it, counted, if 100,000 others wait."""
        self.put(result.id, (store, result))

    def recorded(self, result_id: str) -> TaskResult | None:
        """Return a result that this process has recorded and not stored yet."""
        entry = self.peek(result_id)
        return entry[1] if entry else None

    def merged(self, old: Entry, new: Entry) -> Entry:
        """See Engine: of two states of a task the later one counts."""
        return new if may_follow(new[1], old[1]) else old

    def write(self, batch: dict[str, Entry]) -> None:
        """See Engine."""
        for store, results in grouped(batch.values()).items():
            store.save(results)
            for result in results:
                del batch[result.id]

    def is_away(self, error: Exception) -> bool:
        """See Engine."""
        return is_away(error)

    def fail(self, key: str, item: Entry, error: BaseException) -> None:
        """See Engine: this state is lost, which was logged; the next one may be kept."""


def recorder() -> Recorder:
    """Return this process's recorder."""
    return current().part(Recorder)
