"""What happened to each task, in a file that every process appends to and no fault touches.

A line is `<what> <id> <who>`. One write of a short line to a file opened for appending is whole,
whichever process writes it.
"""

import os
from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from tests.processes import PATIENCE, wait_until


def note(what: str, task_id: str, who: str) -> None:
    """Append a line to the ledger of this process's environment."""
    os.write(_file(), f"{what} {task_id} {who}\n".encode())


@cache
def _file() -> int:
    return os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def gate_beside(ledger: str) -> Path:
    """Return the file that tasks wait for whose end the test decides."""
    return Path(f"{ledger}.gate")


class Ledger:
    """The ledger as the tests read it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def note(self, what: str, task_id: str, who: str) -> None:
        """Append a line of the test itself."""
        with self.path.open("a") as file:
            file.write(f"{what} {task_id} {who}\n")

    def count(self, what: str) -> int:
        return (b"\n" + self.path.read_bytes()).count(f"\n{what} ".encode())

    def ids(self, what: str, who: str = "") -> Counter[str]:
        """Return how often each id has a line `what` by someone whose name begins with `who`."""
        lines = (line.split(" ", 2) for line in self.path.read_text().splitlines())
        return Counter(line[1] for line in lines if line[0] == what and line[2].startswith(who))

    def wait_for(self, what: str, times: int, seconds: float = PATIENCE) -> None:
        """Wait until there are that many lines `what`."""
        try:
            wait_until(lambda: self.count(what) >= times, f"{times} lines {what!r}", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}, only {self.count(what)}") from None

    def assert_each_ended_once(self, ids: Iterable[str]) -> None:
        """Fail unless exactly the tasks `ids` have started and ended, each of them once."""
        expected = Counter(ids)
        assert max(expected.values()) == 1, "an id was given twice"
        for what in "start", "end":
            seen = self.ids(what)
            assert not expected - seen, f"{(expected - seen).total()} tasks have no {what!r}"
            assert not seen - expected, f"{(seen - expected).total()} lines {what!r} too many"
