"""Draws the next step of a history at random, of those that make sense now."""

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from tests.world.child import Child
from tests.world.entry import Act, Spec
from tests.world.process import Process
from tests.world.scripts import RAISED, VALUES
from tests.world.steps.asking import Cancel, Look
from tests.world.steps.broker import Deliver, Double, Lose, LoseReceipt, Redeliver
from tests.world.steps.enqueuing import Disconnect, Enqueue, EnqueueTogether
from tests.world.steps.faults import Away, CutOff, Forget, LoseAnswer, Receive, Stumble
from tests.world.steps.operations import Discard, Relay, Retry
from tests.world.steps.processes import Awake, Crash, EndLoop, Go, Hang, Pass, Settle, Start, Stop
from tests.world.steps.step import Step
from tests.world.tasks import BACKOFFS
from tests.world.web import Web

if TYPE_CHECKING:
    from tests.world.world import World

SECONDS = (0.01, 0.1, 0.5, 1.0, 2.0, 4.0, 13.0, 31.0)
ACTS = ("return", "raise", "hang", "note", "swallow", "resist", *RAISED, *VALUES)
COMMON_ACTS = ("return", "raise", "raise", "hang", "note")

# How often each kind of step is drawn. Each history has moods: some kinds come more often in it,
# some never ("swarm testing": what is always possible hides what needs its absence).
WEIGHTS = {
    "enqueue": 14,
    "together": 3,
    "go": 26,
    "settle": 16,
    "settle all": 6,
    "pass": 12,
    "look": 7,
    "cancel": 5,
    "disconnect": 1,
    "relay": 4,
    "start": 2,
    "crash": 2,
    "stop": 2,
    "end loop": 2,
    "hang": 2,
    "database": 2,
    "cache": 1,
    "broker": 2,
    "cut off": 1,
    "stumble": 1.5,
    "lose answer": 1.5,
    "forget": 1,
    "retry": 2,
    "discard": 1,
    "receive": 1,
    "deliver": 8,
    "lose": 1,
    "double": 1.5,
    "redeliver": 1,
    "lose receipt": 1,
}
ALWAYS = {"enqueue", "go", "settle", "settle all", "pass", "deliver"}
OF_OTHERS = {"enqueue", "together", "relay", "stop", "look", "cancel", "retry", "discard"}
MOODS = (0, 0, 1, 1, 3)
ALIASES = ("default", "celery", "own")
# How often each backend is asked, and how many of the tasks are durable: a mood, too.
ASKED = ((6, 3, 2), (6, 3, 2), (10, 1, 0), (1, 10, 0), (1, 1, 10))
DURABLE = (0.7, 0.7, 1.0, 0.2)
MOST_PROCESSES = 5


class Drawer:
    """Draws steps; `chance` decides."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._labels = 0
        self._names = 0
        moods = {kind: 1 if kind in ALWAYS else chance.choice(MOODS) for kind in WEIGHTS}
        self._weights = [weight * moods[kind] for kind, weight in WEIGHTS.items()]
        self._odd = chance.random() < 0.3
        self._asked = chance.choice(ASKED)
        self._durable = chance.choice(DURABLE)
        self._skews = chance.random() < 0.2

    def draw(self, world: "World") -> Step:
        """Return a step; it may turn out not to apply."""
        if self._names < 2 or not any(isinstance(one, Web) for one in world.active()):
            return self.start()
        while True:
            (kind,) = self._chance.choices(list(WEIGHTS), self._weights)
            step = self._draw(kind, world)
            if step is not None:
                return step

    def _draw(self, kind: str, world: "World") -> Step | None:
        pick = self._chance.choice
        process = pick(world.active())
        if isinstance(process, Child) and kind in OF_OTHERS:
            return None
        some: dict[str, Callable[[], Step | None]] = {
            "enqueue": lambda: Enqueue(process.name, self._label(), self._spec(), self._often()),
            "together": lambda: self._together(process),
            "go": lambda: self._go(process),
            "settle": lambda: Settle(process.name) if process.runnable() else None,
            "settle all": Settle,
            "pass": lambda: Pass(pick(SECONDS)),
            "disconnect": lambda: Disconnect(process.name, self._task(world)),
            "relay": lambda: Relay(process.name),
            "start": lambda: self.start() if len(world.active()) < MOST_PROCESSES else None,
            "crash": lambda: Crash(process.name),
            "stop": lambda: Stop(process.name),
            "end loop": lambda: EndLoop(process.name) if isinstance(process, Web) else None,
            "hang": lambda: self._hang(world, process),
            "database": lambda: Away("database", not world.faults.database),
            "cache": lambda: Away("cache", not world.faults.cache),
            "broker": lambda: Away("broker", not world.faults.broker),
            "cut off": lambda: CutOff(process.name, process.name not in world.faults.cut_off),
            "stumble": lambda: Stumble(process.name, self._chance.randint(1, 8)),
            "lose answer": lambda: LoseAnswer(process.name),
            "deliver": lambda: self._deliver(world),
            "lose": lambda: self._letter(world, Lose),
            "double": lambda: self._letter(world, Double),
            "redeliver": lambda: self._letter(world, Redeliver, taken=True),
            "lose receipt": lambda: LoseReceipt(process.name),
            "receive": lambda: Receive() if not world.async_receivers else None,
        }
        if kind in some:
            return some[kind]()
        return self._about(kind, process, world)

    def _about(self, kind: str, process: Process, world: "World") -> Step | None:
        task = self._task(world)
        if not task:
            return None
        if kind == "look":
            return Look(process.name, task, self._often())
        if kind == "cancel":
            return Cancel(process.name, task, self._often())
        if kind == "retry":
            return Retry(process.name, task)
        if kind == "discard":
            return Discard(process.name, task)
        return Forget("" if self._chance.random() < 0.2 else task)

    def start(self) -> Step:
        self._names += 1
        kind = self._chance.choices(["web", "worker", "command"], [4, 4, 1])[0]
        if self._names <= 2:
            kind = ("web", "worker")[self._names - 1]
        skew = self._chance.choice((-3600.0, -3.0, 3.0, 20.0)) if self._skews else 0.0
        version = 1 if self._chance.random() < 0.15 else 2
        return Start(f"{kind}{self._names}", kind, skew, version)

    def _go(self, process: Process) -> Step | None:
        runnable = process.runnable()
        if not runnable:
            return None
        thread = self._chance.choice(runnable)
        pick = 0
        if isinstance(process, Web) and thread.name == "loop" and self._chance.random() < 0.3:
            pick = self._chance.randrange(max(1, len(process.loop.ready)))
        points = self._chance.choice((0, 0, 1, 1, 2, 3))
        return Go(process.name, thread.name, points, pick)

    def _deliver(self, world: "World") -> Step | None:
        workers = [worker for worker in world.workers() if worker.active and not worker.stopping]
        if not workers:
            return None
        worker = self._chance.choice(workers).name
        return self._letter(world, lambda task: Deliver(worker, task))

    def _letter(
        self, world: "World", step: Callable[[str], Step], *, taken: bool = False
    ) -> Step | None:
        letters = list(world.broker.taken) if taken else world.broker.waiting
        if not letters:
            return None
        entry = world.ledger.by_id(self._chance.choice(letters).task_id)
        return step(entry.label) if entry is not None else None

    def _hang(self, world: "World", process: Process) -> Step:
        hung = [one for one in world.processes.values() if one.alive and one.hung]
        if hung and self._chance.random() < 0.7:
            return Awake(self._chance.choice(hung).name)
        return Hang(process.name)

    def _together(self, process: Process) -> Step:
        number = self._chance.choice((1, 2, 3, 6))  # six are more than some loops have places for
        if self._chance.random() < 0.5:
            tasks = tuple((self._label(), self._spec()) for _ in range(number))
        else:
            same = self._spec()
            tasks = tuple((self._label(), same) for _ in range(number))
        return EnqueueTogether(process.name, tasks, self._chance.random() < 0.8)

    def _label(self) -> str:
        self._labels += 1
        return f"t{self._labels}"

    def _task(self, world: "World") -> str:
        labels = list(world.ledger.entries)
        return self._chance.choice(labels) if labels else ""

    def _often(self) -> bool:
        return self._chance.random() < 0.7

    def _spec(self) -> Spec:
        chance = self._chance
        attempts = chance.choice((1, 2, 2, 3))
        acts = [self._act() for _ in range(chance.randint(0, attempts))]
        odd = self._odd and chance.random() < 0.5
        return Spec(
            kind=chance.choices(("async", "sync", "newer"), (7, 3, 1))[0],
            alias=chance.choices(ALIASES, self._asked)[0],
            durable=chance.random() < self._durable,
            attempts=attempts,
            script=tuple(acts),
            backoff=chance.choice(list(BACKOFFS) if odd else ["soon", "soon", "later"]),
            after=chance.choice((0.5, 3.0, 20.0)) if chance.random() < 0.15 else None,
            timeout=2.0 if chance.random() < 0.2 else None,
            priority=chance.choice((0, 0, 50)),
        )

    def _act(self) -> Act:
        acts = ACTS if self._odd and self._chance.random() < 0.5 else COMMON_ACTS
        return self._chance.choice(acts), self._chance.choice((0.0, 0.0, 0.5, 3.0))
