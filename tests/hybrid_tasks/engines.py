"""An engine for tests, which writes into a dict."""

from hybrid_tasks.engine import Engine
from hybrid_tasks.runtime import Runtime


class Ledger(Engine[str, int]):
    """Writes into a dict, when it may.

    Attributes:
        there: whether the other side is.
        faults: what the writing of these keys raises.
        helpless: keys of which not even the failure can be dealt with.
        written: what was written.
        batches: how many items each successful write had.
        failures: what became of items that were given up, by key.
        closed: how often connections were closed.
    """

    name = "test-ledger"
    limit = 10_000

    def __init__(self, runtime: Runtime) -> None:
        super().__init__(runtime)
        self.there = True
        self.faults: dict[str, BaseException] = {}
        self.helpless: set[str] = set()
        self.written: dict[str, int] = {}
        self.batches: list[int] = []
        self.failures: dict[str, BaseException] = {}
        self.closed = 0

    def write(self, batch: dict[str, int]) -> None:
        if not self.there:
            raise ConnectionError("away")
        for key in batch:
            if key in self.faults:
                raise self.faults[key]
        self.batches.append(len(batch))
        self.written |= batch
        batch.clear()

    def is_away(self, error: Exception) -> bool:
        return isinstance(error, ConnectionError)

    def fail(self, key: str, _item: int, error: BaseException) -> None:
        if key in self.helpless:
            raise RuntimeError("nobody can help")
        self.failures[key] = error

    def close_connections(self) -> None:
        self.closed += 1


def put(ledger: Ledger, keys: str) -> None:
    for number, key in enumerate(keys):
        assert ledger.put(key, number)
