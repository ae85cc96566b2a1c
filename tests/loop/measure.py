"""How long the loop and single calls keep others waiting."""

import asyncio
import math
from collections.abc import Sequence
from contextlib import suppress
from time import perf_counter
from typing import Self

TICK = 0.002  # seconds


class LoopLag:
    """Measures, while it is entered, by how much a tick comes too late."""

    def __init__(self) -> None:
        self.late = [0.0]

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._tick())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _tick(self) -> None:
        while True:
            began = perf_counter()
            await asyncio.sleep(TICK)
            self.late.append(perf_counter() - began - TICK)


def summary(seconds: Sequence[float]) -> dict[str, float]:
    """Return the median, the 99th and 99.9th percentile and the maximum."""
    ordered = sorted(seconds)
    at = {"p50": 0.5, "p99": 0.99, "p999": 0.999, "max": 1.0}
    return {name: ordered[math.ceil(part * len(ordered)) - 1] for name, part in at.items()}
