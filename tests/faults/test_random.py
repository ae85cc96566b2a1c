"""Everything that runs tasks is killed at random, for a minute."""

import random
import time
from collections.abc import Callable
from functools import partial

import pytest

from tests.faults.conftest import Report
from tests.faults.system import FaultSystem, Load
from tests.loop.system import Web
from tests.processes import Process

SEED = 20_240
PAUSE = (1.0, 3.0)  # seconds between a start and the next kill


class Fleet:
    """Two web processes, two workers and two relays, of which any can be replaced."""

    def __init__(self, system: FaultSystem) -> None:
        self.system = system
        self.webs = [system.web(), system.web()]
        worker = partial(system.prefork, SECONDS_SCALE="0.05")
        self.others: list[tuple[Callable[[], Process], Process]] = [
            (start, start()) for start in (worker, system.relay) for _ in range(2)
        ]

    def any_web(self) -> Web:
        return random.choice(self.webs)  # noqa: S311 - which one does not matter

    def replace(self, number: int) -> None:
        """Kill one process and start another like it."""
        if number < len(self.webs):
            self.system.kill(self.webs[number].process)
            self.webs[number] = self.system.web()
        else:
            start, process = self.others[number - len(self.webs)]
            self.system.kill(process)
            self.others[number - len(self.webs)] = (start, start())


@pytest.mark.slow_fault
@pytest.mark.parametrize(
    ("on_either", "duration"),
    [("on_sqlite", 30), ("on_postgres", 60), ("on_mariadb", 60)],
    indirect=["on_either"],
)
def test_everything_is_killed_at_random(
    on_either: FaultSystem, duration: int, report: Report
) -> None:
    chance = random.Random(SEED)  # noqa: S311 - the same kills in every run
    fleet = Fleet(on_either)
    ends = time.monotonic() + duration
    on_loop = Load(fleet.any_web, n=10, threads=2, pause=0.5, seconds=1)
    on_celery = Load(fleet.any_web, n=5, threads=1, pause=0.5, seconds=1, backend="celery")
    with on_loop, on_celery:
        while time.monotonic() < ends:
            time.sleep(chance.uniform(*PAUSE))
            fleet.replace(chance.randrange(6))
    report(f"{duration} s of random kills", on_either, time.monotonic())
