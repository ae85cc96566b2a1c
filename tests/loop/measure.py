"""How long the loop and single calls keep others waiting."""

import asyncio
import math
import threading
from collections.abc import Sequence
from contextlib import suppress
from time import perf_counter
from typing import Self

TICK = 0.002  # seconds
STEP = 0.02  # seconds


class LoopLag:
    """Measures, while it is entered, by how much a tick comes too late.

    Attributes:
        late: the seconds of each tick, whatever held it up.
        blocked: the most of them while other threads ran: not counted is what the whole process
            waited for the machine.
    """

    def __init__(self) -> None:
        self.late = [0.0]
        self.blocked = 0.0
        self._awake = 0.0
        self._over = threading.Event()

    async def __aenter__(self) -> Self:
        self._thread = threading.Thread(target=self._count_awake, daemon=True)
        self._thread.start()
        self._task = asyncio.create_task(self._tick())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over.set()
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _tick(self) -> None:
        while True:
            began, awake = perf_counter(), self._awake
            await asyncio.sleep(TICK)
            self.late.append(perf_counter() - began - TICK)
            self.blocked = max(self.blocked, self._awake - awake)

    def _count_awake(self) -> None:
        """Count the seconds in which this process got time: a step that took longer is one step."""
        while not self._over.wait(STEP):
            self._awake += STEP


def summary(seconds: Sequence[float]) -> dict[str, float]:
    """Return the median, the 99th and 99.9th percentile and the maximum."""
    ordered = sorted(seconds)
    at = {"p50": 0.5, "p99": 0.99, "p999": 0.999, "max": 1.0}
    return {name: ordered[math.ceil(part * len(ordered)) - 1] for name, part in at.items()}
