"""Jobs for the runner's tests."""

import asyncio
from collections.abc import Awaitable, Callable

from hybrid_tasks.loop.runner import Job, Reason, Runner


class FunctionJob(Job):
    """Runs a function; remembers how often, why it was stopped and by what it was dropped."""

    def __init__(
        self, name: str, function: Callable[[], Awaitable[float | None]], priority: int = 0
    ) -> None:
        super().__init__(name, priority)
        self.function = function
        self.runs = 0
        self.stops: list[Reason] = []
        self.drops: list[BaseException | None] = []

    async def run(self) -> float | None:
        self.runs += 1
        return await self.function()

    def stopped(self, reason: Reason) -> None:
        self.stops.append(reason)

    def dropped(self, error: BaseException | None) -> None:
        self.drops.append(error)


def opened(max_running: int = 2, max_waiting: int = 10) -> Runner:
    runner = Runner(max_running, max_waiting)
    runner.open()
    return runner


def waiting_job(name: str, gate: asyncio.Event, priority: int = 0) -> FunctionJob:
    async def wait() -> None:
        await gate.wait()

    return FunctionJob(name, wait, priority)


def hanging_job(name: str, then: float | None = None) -> FunctionJob:
    """Return a job that waits to be cancelled, and then asks to run again after `then` seconds."""

    async def hang() -> float | None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return then
        return None

    return FunctionJob(name, hang)
