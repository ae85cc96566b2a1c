"""All orders in which the steps of operations that meet can come, one after the other.

A step is what a thread does up to its next point: between two statements, two commands to the
cache, two messages to the broker, or two callbacks of a loop. Each order is a world of its own,
played from the beginning; the last choice that can be made otherwise is made otherwise next.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.world.environment import playing
from tests.world.healing import heal
from tests.world.judging import judge
from tests.world.steps.step import Step
from tests.world.threads import SimThread
from tests.world.world import World

LONGEST = 400  # steps that one order may take


@dataclass(frozen=True)
class Meeting:
    """Operations that meet.

    Attributes:
        name: what meets.
        before: the steps that lead there.
        begin: the steps that begin the operations; they come at any time, in this order.
        threads: what takes part, as "process/thread"; a thread's name may go on. All other threads
            go on when none of these can.
        switches: how often a thread that could go on is left for another, at most, unless told
            otherwise; most bugs need one switch or two (as CHESS found, of which this is learnt).
    """

    name: str
    before: tuple[Step, ...]
    begin: tuple[Step, ...]
    threads: tuple[str, ...]
    switches: int = 2


@dataclass
class Order:
    """One order of a meeting.

    Attributes:
        choices: which of the possible steps came, each time that there were several.
        widths: how many there were.
        lines: what happened.
        problems: the promises that were broken.
    """

    choices: list[int]
    widths: list[int] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"{number:3}. {line}" for number, line in enumerate(self.lines, 1)]
        return "\n".join([*lines, *(f"  => {problem}" for problem in self.problems)])


def orders(meeting: Meeting, switches: int | None = None) -> Iterator[Order]:
    """Yield all orders of a meeting, played, with up to that many switches."""
    choices: list[int] | None = []
    while choices is not None:
        order = play(meeting, choices, meeting.switches if switches is None else switches)
        yield order
        choices = following(order)


def following(order: Order) -> list[int] | None:
    """Return the choices of the order that comes next, if there is one."""
    made = order.choices + [0] * (len(order.widths) - len(order.choices))
    while made:
        if made[-1] + 1 < order.widths[len(made) - 1]:
            made[-1] += 1
            return made
        made.pop()
    return None


def play(meeting: Meeting, choices: list[int], switches: int) -> Order:
    """Play one order."""
    order = Order(choices)
    with playing(0) as world:
        for step in meeting.before:
            order.lines.append(str(step))
            assert step.take(world), f"{meeting.name}: {step} does not apply"
        order.lines.append("- these meet:")
        Playing(world, meeting, order, switches).play()
        if not world.problems:
            heal(world)
        order.problems = list(world.problems)
    return order


class Playing:
    """A meeting while it is played."""

    def __init__(self, world: World, meeting: Meeting, order: Order, most: int) -> None:
        self._world = world
        self._meeting = meeting
        self._order = order
        self._left = list(meeting.begin)
        self._last: SimThread | None = None
        self._switches_left = most

    def play(self) -> None:
        for _ in range(LONGEST):
            if self._world.problems:
                return
            ready = self._ready()
            if ready or self._left:
                self._take(self._chosen([*ready, *self._left[:1]]))
                judge(self._world)
            elif not self._settled():
                return
        self._world.blame(f"{self._meeting.name} takes more than {LONGEST} steps")

    def _ready(self) -> list[SimThread]:
        """Return the threads of the meeting that can go on, the last one first."""
        ready = [
            thread
            for process in self._world.active()
            for thread in process.runnable()
            if self._takes_part(thread)
        ]
        if self._last in ready:
            ready.remove(self._last)
            ready.insert(0, self._last)
        return ready

    def _takes_part(self, thread: SimThread) -> bool:
        name = f"{thread.process}/{thread.name}"
        return any(name.startswith(one) for one in self._meeting.threads)

    def _chosen(self, possible: list[SimThread | Step]) -> SimThread | Step:
        can_stay = possible[0] is self._last
        if len(possible) == 1 or (can_stay and not self._switches_left):
            return possible[0]
        number = len(self._order.widths)
        self._order.widths.append(len(possible))
        choice = self._order.choices[number] if number < len(self._order.choices) else 0
        self._switches_left -= can_stay and choice > 0
        return possible[choice]

    def _take(self, chosen: SimThread | Step) -> None:
        if isinstance(chosen, Step):
            self._left.remove(chosen)
            self._order.lines.append(str(chosen))
            chosen.take(self._world)
            return
        self._last = chosen
        self._world.resume(chosen, 1)
        place = f", up to where {chosen.place}" if chosen.place else ""
        self._order.lines.append(f"{chosen.process}: {chosen.name} goes on{place}")

    def _settled(self) -> bool:
        """Let all others go on, once each; return whether there were any."""
        others = [thread for process in self._world.active() for thread in process.runnable()]
        for thread in others:
            if thread.process.active and thread.runnable() and not self._takes_part(thread):
                self._world.resume(thread)
        return bool(others)
