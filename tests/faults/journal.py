"""What each line of the ledger says in the fault suite.

A line is `<what> <id> <task> <pid> <time>`. The time is the machine's monotonic one, which all
processes share and nobody can put wrong. What happens to a task is `accept`, `refuse`, `start`,
`end` or `cut`; a line `kill` names a process by its pid instead.
"""

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

from tests.loop.ledger import note

REMOVAL_SECONDS = 6.0  # within which the row of a task that has ended is gone, if noisy


def record(what: str, task_id: str, task: str) -> None:
    """Write a line to the ledger of this process's environment."""
    note(what, task_id, circumstances(task))


def circumstances(task: str) -> str:
    """Return the rest of a line that this process writes now."""
    return f"{task} {os.getpid()} {time.monotonic():.6f}"


@dataclass(frozen=True, slots=True)
class Line:
    what: str
    id: str
    task: str
    pid: int
    at: float

    @classmethod
    def parse(cls, text: str) -> Self:
        what, task_id, task, pid, at = text.split()
        return cls(what, task_id, task, int(pid), float(at))


@dataclass(slots=True)
class Attempt:
    """One attempt at a task; `ended` is None as long as it may still run."""

    pid: int
    started: float
    ended: float | None = None
    completed: bool = False
    killed: float | None = None

    @property
    def interrupted(self) -> bool:
        """Whether the task had to be tried again: nobody could know that it was done, if it was."""
        if not self.completed or self.ended is None:
            return True
        return self.killed is not None and self.killed - self.ended < REMOVAL_SECONDS


@dataclass(slots=True)
class History:
    """What happened to one task."""

    task: str = ""
    accepted: bool = False
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def effects(self) -> int:
        return sum(attempt.completed for attempt in self.attempts)

    @property
    def overlaps(self) -> bool:
        """Whether the task ever ran twice at once."""
        pairs = zip(self.attempts, self.attempts[1:], strict=False)
        return any(one.ended is None or one.ended > two.started for one, two in pairs)

    @property
    def repeated_in_vain(self) -> bool:
        """Whether an attempt followed one that nothing had interrupted."""
        return not all(attempt.interrupted for attempt in self.attempts[:-1])

    def add(self, line: Line) -> None:
        self.task = line.task
        if line.what == "accept":
            self.accepted = True
        elif line.what == "start":
            self.attempts.append(Attempt(line.pid, line.at))
        elif line.what in ("end", "cut"):
            attempt = next(one for one in reversed(self.attempts) if one.pid == line.pid)
            attempt.ended = line.at
            attempt.completed = line.what == "end"


def histories(lines: Iterable[Line]) -> dict[str, History]:
    """Return the history of each task. What a killed process ran ended when it was killed."""
    found: dict[str, History] = {}
    kills: dict[int, float] = {}
    for line in lines:
        if line.what == "kill":
            kills[int(line.id)] = line.at
        elif line.what != "refuse":
            found.setdefault(line.id, History()).add(line)
    for history in found.values():
        history.attempts.sort(key=lambda attempt: attempt.started)
        for attempt in history.attempts:
            attempt.killed = kills.get(attempt.pid)
            if attempt.ended is None and attempt.killed is not None:
                attempt.ended = max(attempt.started, attempt.killed)
    return found
