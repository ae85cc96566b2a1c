"""The runner: asyncio only, so these tests need neither Django nor a server."""

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable
from contextvars import ContextVar

import pytest

from hybrid_tasks.loop import runner as module
from hybrid_tasks.loop.runner import Job, Reason, Runner, RunnerClosed, RunnerFull, WrongLoop


class FunctionJob(Job):
    """Runs a function; remembers how often, and why it was stopped."""

    def __init__(
        self, name: str, function: Callable[[], Awaitable[float | None]], priority: int = 0
    ) -> None:
        super().__init__(name, priority)
        self.function = function
        self.runs = 0
        self.stops: list[Reason] = []

    async def run(self) -> float | None:
        self.runs += 1
        return await self.function()

    def stopped(self, reason: Reason) -> None:
        self.stops.append(reason)


def opened(max_running: int = 2, max_waiting: int = 10) -> Runner:
    runner = Runner(max_running, max_waiting)
    runner.open()
    return runner


def waiting_job(name: str, gate: asyncio.Event, priority: int = 0) -> FunctionJob:
    async def wait() -> None:
        await gate.wait()

    return FunctionJob(name, wait, priority)


async def test_no_more_run_or_wait_than_may() -> None:
    runner, gate = opened(max_running=2, max_waiting=1), asyncio.Event()
    for name in "abc":
        runner.submit(waiting_job(name, gate))
    assert (runner.running, runner.waiting) == (2, 1)
    with pytest.raises(RunnerFull):
        runner.submit(waiting_job("d", gate))
    runner.submit(waiting_job("e", gate), accepted=True)
    assert runner.waiting == 2
    gate.set()
    assert await runner.drain(60) == []
    assert (runner.running, runner.waiting) == (0, 0)


async def test_higher_priority_first_then_first_come() -> None:
    runner, order = opened(max_running=1), []

    def job(name: str, priority: int) -> FunctionJob:
        async def note() -> None:
            order.append(name)

        return FunctionJob(name, note, priority)

    for name, priority in [("a", 0), ("b", 0), ("c", 50), ("d", -50), ("e", 50)]:
        runner.submit(job(name, priority))
    await runner.drain(60)
    assert order == ["a", "c", "e", "b", "d"]


async def test_jobs_survive_garbage_collection() -> None:
    runner, ended = opened(), []
    futures: list[weakref.ref[asyncio.Future[None]]] = []

    async def wait_alone() -> None:
        # Task and future refer to each other only: without a holder both are garbage.
        future = asyncio.get_running_loop().create_future()
        futures.append(weakref.ref(future))
        await future
        ended.append(True)

    runner.submit(FunctionJob("a", wait_alone))
    await asyncio.sleep(0)
    gc.collect()
    future = futures[0]()
    assert future is not None
    future.set_result(None)
    await runner.drain(60)
    assert ended == [True]


async def test_runs_again_after_the_seconds_it_returned() -> None:
    runner = opened()
    delays, third = iter([0.0, 0.01]), asyncio.Event()

    async def again() -> float | None:
        delay = next(delays, None)
        if delay is None:
            third.set()
        return delay

    done = FunctionJob("a", again)
    runner.submit(done)
    async with asyncio.timeout(10):
        await third.wait()
    assert await runner.drain(60) == []
    assert done.runs == 3


async def test_cancelled_while_waiting_it_never_starts() -> None:
    runner, gate = opened(max_running=1), asyncio.Event()
    runner.submit(waiting_job("a", gate))
    waits, delayed = waiting_job("b", gate), waiting_job("c", gate)
    runner.submit(waits)
    runner.submit(delayed, delay=60)
    assert runner.cancel("b")
    assert runner.cancel("c")
    assert runner.waiting == 0
    assert not runner.cancel("b")
    gate.set()
    assert await runner.drain(60) == []
    assert (waits.runs, waits.stops) == (0, [Reason.CANCELLED])
    assert (delayed.runs, delayed.stops) == (0, [Reason.CANCELLED])


async def test_cancelled_while_running_it_cleans_up() -> None:
    runner, cleaned = opened(), []

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cleaned.append(True)

    job = FunctionJob("a", hang)
    runner.submit(job)
    await asyncio.sleep(0)
    assert runner.cancel("a")
    await runner.drain(60)
    assert cleaned == [True]
    assert job.stops == [Reason.CANCELLED]


async def test_draining_gives_back_what_did_not_finish() -> None:
    runner = opened(max_running=2)

    async def interrupted() -> float | None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return 0.0
        return None

    async def gives_up() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return

    runner.submit(FunctionJob("again", interrupted))
    runner.submit(FunctionJob("done", gives_up))
    runner.submit(waiting_job("waits", asyncio.Event()))
    runner.submit(waiting_job("later", asyncio.Event()), delay=60)
    await asyncio.sleep(0)
    left = await runner.drain(0.01)
    assert sorted(job.id for job in left) == ["again", "later", "waits"]
    with pytest.raises(RunnerClosed):
        runner.submit(waiting_job("new", asyncio.Event()))


async def test_what_is_cut_off_before_its_first_step_is_given_back() -> None:
    runner = opened(max_running=1)
    job = waiting_job("a", asyncio.Event())
    runner.submit(job)
    left = await runner.drain(0)
    assert left == [job]


async def test_a_job_that_will_not_stop_is_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    runner, gate = opened(), asyncio.Event()

    async def stubborn() -> None:
        while not gate.is_set():
            try:
                await gate.wait()
            except asyncio.CancelledError:
                continue

    runner.submit(FunctionJob("a", stubborn))
    await asyncio.sleep(0)
    assert await runner.drain(0.01, grace=0.01) == []
    assert "Job a did not stop within 0.01 s" in caplog.text
    gate.set()
    await asyncio.sleep(0)


async def test_a_job_that_raises_harms_no_other(caplog: pytest.LogCaptureFixture) -> None:
    runner, gate = opened(max_running=1), asyncio.Event()
    gate.set()

    async def broken() -> None:
        raise ValueError("broken")

    following = waiting_job("b", gate)
    runner.submit(FunctionJob("a", broken))
    runner.submit(following)
    await runner.drain(60)
    assert following.runs == 1
    assert "Job a raised" in caplog.text


async def test_refuses_any_other_loop() -> None:
    runner = opened()

    async def submit() -> None:
        runner.submit(waiting_job("a", asyncio.Event()))

    with pytest.raises(WrongLoop):
        await asyncio.to_thread(asyncio.run, submit())


async def test_sees_only_the_variables_that_are_carried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_carried", [])
    carried = module.carry(ContextVar("carried", default="unset"))
    own: ContextVar[str] = ContextVar("own", default="unset")
    carried.set("request 1")
    own.set("request 1")
    seen: list[tuple[str, str]] = []

    async def look() -> None:
        seen.append((carried.get(), own.get()))

    runner = opened()
    runner.submit(FunctionJob("a", look))
    carried.set("request 2")
    await runner.drain(60)
    assert seen == [("request 1", "unset")]
