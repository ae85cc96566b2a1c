"""The runner: asyncio only, so these tests need neither Django nor a server."""

import asyncio
import gc
import weakref
from contextvars import ContextVar

import pytest

from hybrid_tasks.loop import runner as module
from hybrid_tasks.loop.runner import RunnerFull, WrongLoop
from tests.hybrid_tasks.loop.jobs import FunctionJob, opened, waiting_job


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
    assert await runner.drain(60) == ([], [])
    assert (runner.running, runner.waiting) == (0, 0)


async def test_what_waits_for_its_time_takes_a_place_of_all_that_there_are() -> None:
    runner, gate = opened(max_running=2, max_waiting=0), asyncio.Event()
    runner.submit(waiting_job("a", gate), delay=60)
    runner.submit(waiting_job("b", gate))
    assert (runner.running, runner.waiting, runner.places, runner.full) == (1, 1, 0, True)
    with pytest.raises(RunnerFull):
        runner.submit(waiting_job("c", gate))
    assert runner.cancel("a")
    runner.submit(waiting_job("c", gate))
    assert runner.running == 2
    gate.set()
    await runner.drain(60)


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
    assert await runner.drain(60) == ([], [])
    assert done.runs == 3


async def test_a_job_that_raises_harms_no_other(caplog: pytest.LogCaptureFixture) -> None:
    runner, gate = opened(max_running=1), asyncio.Event()
    gate.set()

    async def broken() -> None:
        raise ValueError("broken")

    raising, following = FunctionJob("a", broken), waiting_job("b", gate)
    runner.submit(raising)
    runner.submit(following)
    await runner.drain(60)
    assert (raising.runs, following.runs) == (1, 1)
    assert [type(error) for error in raising.drops] == [ValueError]
    assert "Job a ended without having done its work" in caplog.text


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
