"""Jobs that are stopped before they start, while they run, and by others than the runner."""

import asyncio

from hybrid_tasks.loop.runner import Reason
from tests.hybrid_tasks.loop.jobs import FunctionJob, hanging_job, opened, waiting_job


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
    assert await runner.drain(60) == ([], [])
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
    assert job.drops == []


async def test_a_second_cancel_finds_it_stopped_already() -> None:
    runner, job = opened(), hanging_job("a")
    runner.submit(job)
    await asyncio.sleep(0)
    assert runner.cancel("a")
    assert not runner.cancel("a", Reason.LOST)
    await runner.drain(60)
    assert job.stops == [Reason.CANCELLED]


async def test_a_job_can_stop_itself_in_an_eager_first_step() -> None:
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    runner = opened()

    async def stop() -> None:
        assert runner.cancel("a")
        await asyncio.Event().wait()

    job = FunctionJob("a", stop)
    runner.submit(job)
    assert await runner.drain(60) == ([], [])
    assert (job.stops, job.drops, runner.jobs()) == ([Reason.CANCELLED], [], [])


async def test_what_somebody_else_has_cancelled_is_dropped() -> None:
    """Nobody asked the runner: whose work it is has to know that it was not done."""
    runner = opened()

    async def cancel_the_task() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    job = FunctionJob("a", cancel_the_task)
    runner.submit(job)
    await runner.drain(60)
    assert (job.stops, job.drops, runner.jobs()) == ([], [None], [])
