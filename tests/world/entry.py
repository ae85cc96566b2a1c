"""What was promised of one task in the world, and what was seen of it."""

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hybrid_tasks.results.task_result import Rank, TaskResult
from tests.world.scripts import BROKEN, RAISED, UNFIT, VALUES

if TYPE_CHECKING:
    from tests.world.process import Process

type Act = tuple[str, float]

FIRST: Rank = (-1, 0, 0)


@dataclass(frozen=True)
class Spec:
    """What is enqueued.

    Attributes:
        kind: a key of tasks.TASKS.
        alias: of the backend.
        durable: whether it must survive its process.
        attempts: how many it may have.
        script: what its attempts do, one after the other; those after the last return.
        backoff: a key of tasks.BACKOFFS.
        after: seconds until it may run; None for at once.
        timeout: of an attempt.
        priority: of the task.
    """

    kind: str = "async"
    alias: str = "default"
    durable: bool = True
    attempts: int = 1
    script: tuple[Act, ...] = ()
    backoff: str = "soon"
    after: float | None = None
    timeout: float | None = None
    priority: int = 0

    def act(self, number: int) -> Act:
        """Return what the attempt of that number, from 1, does."""
        return self.script[number - 1] if number <= len(self.script) else ("return", 0.0)

    def explains(self, error: str) -> bool:
        """Return whether an error of that path is the task's own, or one of the core's answers."""
        if error.startswith("hybrid_tasks."):
            return True
        acts = [act for act, _ in self.script]
        raised = [RAISED[act] for act in acts if act in RAISED]
        raised += [TimeoutError] if self.timeout is not None else []
        raised += UNFIT if any(act in VALUES for act in acts) else []
        raised += UNFIT if self.backoff in BROKEN else []
        return error in {f"{kind.__module__}.{kind.__qualname__}" for kind in raised}

    def __str__(self) -> str:
        words = ["durable" if self.durable else "ordinary"]
        words += [f"{self.kind} task", f"of {self.alias!r}"] if self.kind != "async" else ["task"]
        if self.kind == "async":
            words.append(f"of {self.alias!r}")
        words.append(f"with {self.attempts} attempt{'s' * (self.attempts > 1)}")
        if self.after is not None:
            words.append(f"in {self.after:g} s")
        if self.timeout is not None:
            words.append(f"with timeout {self.timeout:g} s")
        if self.priority:
            words.append(f"with priority {self.priority}")
        if self.script:
            acts = [f"{act} after {seconds:g} s" for act, seconds in self.script]
            words.append(f"({', then '.join(acts)}; backoff {self.backoff!r})")
        return " ".join(words)


@dataclass(eq=False)
class Run:
    """One attempt that has really begun."""

    entry: "Entry"
    process: "Process"
    generation: int
    number: int
    lapses: int
    began: float
    ended: float | None = None
    unclaimed: bool = False
    flaps: int = 0

    @property
    def label(self) -> str:
        return self.entry.label

    @property
    def act(self) -> Act:
        return self.entry.spec.act(self.number)

    @property
    def excused(self) -> bool:
        """Whether its process cannot have known that others went on with the task."""
        process = self.process
        flaps = process.world.faults.flaps > self.flaps
        return not process.alive or process.hung or process.lapses > self.lapses or flaps

    def end(self) -> None:
        if self.process.alive:
            self.ended = self.process.world.time


@dataclass(eq=False)
class Entry:
    """One task.

    Attributes:
        label: what histories call it.
        result: what `enqueue` returned.
        accepted: whether it was promised, and by whom.
        refused: what `enqueue` raised instead.
        cancelled: the generation in which `cancel` said that it was cancelled, and who said so.
        discarded: the generation in which a person has discarded it.
        finished: how often `task_finished` was sent, by generation.
        tellers: the processes that sent it.
        known: the latest state that was read where all can read.
        known_by: the latest state that was read in each process.
        forgets: how often what was known of it was lost.
        lost: whether the broker has lost a message with it.
        turned_away: workers that have let go of its message, as they do not know its code.
        tried: the generations in which somebody began to cancel or discard it; if their process
            dies, or does not hear of its commit, it is gone without a word.
    """

    label: str
    spec: Spec
    process: "Process"
    result: TaskResult | None = None
    accepted: float | None = None
    refused: BaseException | None = None
    cancelled: "tuple[int, Process] | None" = None
    discarded: int | None = None
    runs: list[Run] = field(default_factory=list)
    finished: Counter[int] = field(default_factory=Counter)
    tellers: "list[Process]" = field(default_factory=list)
    generation: int = 0
    known: Rank = FIRST
    known_by: dict[str, Rank] = field(default_factory=dict)
    forgets: int = 0
    lost: bool = False
    turned_away: "list[Process]" = field(default_factory=list)
    tried: set[int] = field(default_factory=set)

    @property
    def durable(self) -> bool:
        return self.spec.durable

    @property
    def id(self) -> str:
        return self.result.id if self.result is not None else ""

    @property
    def over(self) -> bool:
        """Whether this life of the task has ended, as far as anybody was told."""
        return bool(self.finished[self.generation]) or self.generation in self.given_up

    @property
    def given_up(self) -> set[int]:
        """The generations that a person has ended."""
        told = self.cancelled[0] if self.cancelled else None
        return {one for one in (told, self.discarded) if one is not None}

    def forget(self) -> None:
        """Note that what was known of it has been lost: knowledge begins anew."""
        self.forgets += 1
        self.known = FIRST
        self.known_by.clear()


@dataclass(frozen=True)
class Reading:
    """What was known of a task when a look-up of it began."""

    known: Rank
    known_here: Rank
    forgets: int
    cuts: int
    tried: bool
    has_row: bool


def told(rank: Rank) -> str:
    """Return a rank in words."""
    generation, attempts, step = rank
    if rank == FIRST:
        return "unknown"
    state = ("RUNNING", "READY", "its end")[step] if step < 3 else str(step)
    words = state if step == 2 else f"{state} with {attempts} attempts"
    return f"{words} of life {generation + 1}" if generation else words
