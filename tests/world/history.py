"""A history: the steps of one world, which can be played again."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random

from tests.world.drawing import Drawer
from tests.world.environment import playing
from tests.world.healing import heal
from tests.world.judging import judge
from tests.world.steps.step import Step
from tests.world.world import World

SHORTEST, LONGEST = 30, 90


@dataclass
class History:
    """What happened, and what was wrong with it.

    Attributes:
        seed: of what the core does by chance.
        steps: those that applied.
        problems: the promises that were broken.
    """

    seed: int
    steps: list[Step] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """Its first problem, without the names that differ each time; "" if it has none."""
        return (
            re.sub(r"(\b(t|web|worker|command)[\d.]+|last \w+|\d+)", "#", self.problems[0][:80])
            if self.problems
            else ""
        )

    @property
    def failed(self) -> bool:
        return bool(self.problems)

    def __str__(self) -> str:
        lines = [f"{number:3}. {step}" for number, step in enumerate(self.steps, 1)]
        return "\n".join([*lines, *(f"  => {problem}" for problem in self.problems)])


def draw(seed: int) -> History:
    """Play a history that is drawn at random."""
    chance = Random(seed)  # noqa: S311
    drawer = Drawer(chance)
    with playing(seed) as world:
        history = History(seed)
        for _ in range(chance.randint(SHORTEST, LONGEST)):
            step = drawer.draw(world)
            if taken(world, step):
                history.steps.append(step)
            if world.problems:
                break
        return ended(world, history)


def play(seed: int, steps: Sequence[Step]) -> History:
    """Play steps again; those that do not apply any more are left out."""
    with playing(seed) as world:
        history = History(seed)
        for step in steps:
            if taken(world, step):
                history.steps.append(step)
            if world.problems:
                break
        return ended(world, history)


def taken(world: World, step: Step) -> bool:
    if not step.take(world):
        return False
    judge(world)
    return True


def ended(world: World, history: History) -> History:
    if not world.problems:
        heal(world)
    history.problems = list(world.problems)
    return history


def shrunk(history: History) -> History:
    """Return a history as short as can be that breaks a promise (delta debugging, ddmin)."""
    best, size = history, max(1, len(history.steps) // 2)
    while size:
        shorter = first_failing(best, size)
        if shorter is not None:
            best = shorter
            size = min(size, max(1, len(best.steps) // 2))
        else:
            size //= 2
    return best


def first_failing(history: History, size: int) -> History | None:
    for without in left_out(history.steps, size):
        again = play(history.seed, without)
        if again.kind == history.kind and len(again.steps) < len(history.steps):
            return again
    return None


def left_out(steps: Sequence[Step], size: int) -> Iterable[list[Step]]:
    """Yield the steps without some that follow each other, the last ones first."""
    for end in range(len(steps), 0, -size):
        yield [*steps[: max(0, end - size)], *steps[end:]]
