"""The end of a runner: what finishes, what is given back and what is left behind."""

import asyncio

import pytest

from hybrid_tasks.loop.runner import Reason, RunnerClosed
from tests.hybrid_tasks.loop.jobs import FunctionJob, hanging_job, opened, waiting_job


async def test_draining_gives_back_what_did_not_finish() -> None:
    runner = opened(max_running=2)
    runner.submit(hanging_job("again", then=0.0))
    runner.submit(hanging_job("done"))
    runner.submit(waiting_job("waits", asyncio.Event()))
    runner.submit(waiting_job("later", asyncio.Event()), delay=60)
    await asyncio.sleep(0)
    given_back, left_behind = await runner.drain(0.01)
    assert sorted(job.id for job in given_back) == ["again", "later", "waits"]
    assert left_behind == []
    assert (runner.running, runner.waiting, runner.jobs()) == (0, 0, [])
    with pytest.raises(RunnerClosed):
        runner.submit(waiting_job("new", asyncio.Event()))


async def test_what_is_cut_off_before_its_first_step_is_given_back() -> None:
    runner = opened(max_running=1)
    job = waiting_job("a", asyncio.Event())
    runner.submit(job)
    assert await runner.drain(0) == ([job], [])
    assert job.drops == []


async def test_what_is_given_back_tells_how_long_it_has_still_to_wait() -> None:
    runner = opened(max_running=1)
    interrupted, later = hanging_job("a", then=30.0), waiting_job("b", asyncio.Event())
    waits = waiting_job("c", asyncio.Event())
    runner.submit(interrupted)
    runner.submit(later, delay=60)
    runner.submit(waits)
    await asyncio.sleep(0)
    await runner.drain(0)
    assert (interrupted.delay, waits.delay) == (30.0, 0.0)
    assert 0 < later.delay <= 60
    assert (interrupted.stops, later.stops, waits.stops) == ([Reason.SHUTDOWN], [], [])


async def test_a_job_that_will_not_stop_is_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    runner, gate, ended = opened(), asyncio.Event(), asyncio.Event()

    async def stubborn() -> None:
        while not gate.is_set():
            try:
                await gate.wait()
            except asyncio.CancelledError:
                continue
        asyncio.get_running_loop().call_soon(ended.set)

    job = FunctionJob("a", stubborn)
    runner.submit(job)
    await asyncio.sleep(0)
    assert await runner.drain(0.01, grace=0.01) == ([], [job])
    assert runner.jobs() == [job]  # it owns what it owned
    assert "Job a did not stop within 0.01 s" in caplog.text
    gate.set()
    await ended.wait()
    assert runner.jobs() == []
