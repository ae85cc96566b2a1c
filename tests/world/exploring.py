"""Plays many random histories, on all processors, and tells of those that broke a promise."""

import itertools
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

AT_ONCE = 10  # histories that one processor plays before it tells of them
TOLD = 5  # failures that are shrunk and printed

_held = ExitStack()  # what a process that plays histories holds until it ends


def say(text: object) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@dataclass(frozen=True)
class Played:
    """What became of a history."""

    seed: int
    steps: int
    problems: tuple[str, ...]
    kind: str


@dataclass
class Found:
    """What was found so far; `enough` if nobody waits for more."""

    histories: int = 0
    steps: int = 0
    failures: list[Played] = field(default_factory=list)
    enough: bool = False

    def add(self, played: Played) -> None:
        self.histories += 1
        self.steps += played.steps
        if played.problems:
            self.failures.append(played)

    def __str__(self) -> str:
        return f"{self.histories} histories, {self.steps} steps, {len(self.failures)} failures"


def prepare(database_url: str, mutant: str, number: Any) -> None:
    """Make ready a process that plays histories."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.world.settings"
    import django

    django.setup()
    from tests.world import database
    from tests.world.environment import environment
    from tests.world.mutants import MUTANTS

    replaced = None
    if database_url:
        with number.get_lock():
            number.value += 1
            name = f"world_{number.value}"
        replaced = database.postgres(database_url, name)
    _held.enter_context(environment(replaced))
    _held.enter_context(MUTANTS[mutant].planted() if mutant else nullcontext())


def play_one(seed: int) -> Played:
    """Play the history of a seed, in a process that is prepared."""
    from tests.world.history import draw

    history = draw(seed)
    return Played(seed, len(history.steps), tuple(history.problems), history.kind)


def drawn_text(seed: int) -> tuple[str, bool]:
    """Return the history of a seed as text, and whether it breaks a promise."""
    from tests.world.history import draw

    history = draw(seed)
    return str(history), history.failed


def play_meeting(given: tuple[str, int | None]) -> tuple[str, int, str]:
    """Play all orders of a meeting; return its name, their number and the first that failed."""
    from tests.world.meetings import MEETINGS
    from tests.world.orders import orders

    name, switches = given
    (meeting,) = [one for one in MEETINGS if one.name == name]
    played, failed = 0, ""
    for order in orders(meeting, switches):
        played += 1
        if order.problems and not failed:
            failed = str(order)
    return name, played, failed


def meeting_names() -> list[str]:
    """Return the names of all meetings, in a process that is prepared."""
    from tests.world.meetings import MEETINGS

    return [meeting.name for meeting in MEETINGS]


def shrunk_text(seed: int) -> str:
    """Return the shortest history that breaks the promise which that of a seed breaks, as text."""
    from tests.world.history import draw, shrunk

    return str(shrunk(draw(seed)))


def seeds(first: int, histories: int, minutes: float) -> Iterator[int]:
    """Yield seeds until so many histories, or minutes, are over; 0 is no limit."""
    end = time.monotonic() + minutes * 60
    for number in itertools.count():
        if (histories and number >= histories) or (minutes and time.monotonic() >= end):
            return
        yield first + number


@contextmanager
def players(database: str, mutant: str = "") -> Iterator[Any]:
    """Give a pool of prepared processes, one for each processor."""
    with ExitStack() as stack:
        url = stack.enter_context(postgres_url()) if database == "postgres" else ""
        context = multiprocessing.get_context("spawn")
        number = context.Value("i", 0)
        pool = context.Pool(os.cpu_count(), prepare, (url, mutant, number))
        stack.callback(pool.join)
        stack.callback(pool.terminate)
        yield pool


@contextmanager
def postgres_url() -> Iterator[str]:
    from tests.postgres import running_postgres

    with TemporaryDirectory() as logs, running_postgres(Path(logs)) as server:
        yield server.url


def explore(pool: Any, some: Iterator[int], *, stop_at_first: bool = False) -> Found:
    """Play the histories of these seeds."""
    found = Found()
    for played in pool.imap_unordered(play_one, limited(some, pool, found), AT_ONCE):
        found.add(played)
        if played.problems and stop_at_first:
            found.enough = True
            break
    return found


def limited(some: Iterator[int], pool: Any, found: Found) -> Iterator[int]:
    """Yield seeds as they are needed: a pool would take all of them at once."""
    ahead = AT_ONCE * (pool._processes + 1) * 2
    for given, seed in enumerate(some):
        while given - found.histories > ahead:
            if found.enough:  # else the pool, which ends when these do, would never end
                return
            time.sleep(0.01)
        yield seed
