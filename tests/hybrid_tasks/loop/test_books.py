"""What a runner and its jobs remember of jobs that run and wait no more: nothing."""

import asyncio
import gc
import weakref
from typing import Any

import pytest

from hybrid_tasks.loop.runner import Reason, Runner
from tests.hybrid_tasks.contract.waiting import until
from tests.hybrid_tasks.loop.jobs import FunctionJob, opened, waiting_job

MANY = 50_000


def returning(name: str, *answers: float | None) -> FunctionJob:
    """Return a job whose runs return `answers`, in turn."""
    left = iter(answers)

    async def answer() -> float | None:
        return next(left)

    return FunctionJob(name, answer)


async def until_idle(runner: Runner) -> None:
    await until(lambda: not runner.running, "nothing runs")


def is_empty(runner: Runner) -> bool:
    books: list[Any] = [runner._jobs, runner._running, runner._heap, runner._given_back]
    return (not any(books)) and (runner.running, runner.waiting, runner._withdrawn) == (0, 0, 0)


async def test_what_is_cancelled_behind_a_long_job_takes_no_memory() -> None:
    """C25: 50,000 entries stayed in the heap until the one before them had ended."""
    runner, gate = opened(max_running=1, max_waiting=MANY), asyncio.Event()
    runner.submit(waiting_job("long", gate))
    for number in range(MANY):
        runner.submit(waiting_job(str(number), gate))
    for number in range(MANY):
        assert runner.cancel(str(number))
    assert len(runner._heap) <= 1
    gate.set()
    await until_idle(runner)
    assert is_empty(runner)


async def test_order_survives_that_the_heap_is_made_anew() -> None:
    """C25: by priority, then by arrival, whoever is cancelled among them."""
    runner, gate, order = opened(max_running=1, max_waiting=100), asyncio.Event(), list[int]()

    def noting(number: int) -> FunctionJob:
        async def note() -> None:
            order.append(number)

        return FunctionJob(str(number), note, priority=number % 3)

    runner.submit(waiting_job("long", gate))
    for number in range(30):
        runner.submit(noting(number))
    kept = [number for number in range(30) if number % 5 == 0]
    for number in range(30):
        if number not in kept:
            assert runner.cancel(str(number))
    gate.set()
    await until_idle(runner)
    assert order == sorted(kept, key=lambda number: (-(number % 3), number))
    assert is_empty(runner)


async def test_an_entry_without_a_job_is_passed_over_and_forgotten() -> None:
    runner, gate = opened(max_running=1), asyncio.Event()
    runner.submit(waiting_job("long", gate))
    for name in "abcde":
        runner.submit(waiting_job(name, gate))
    assert runner.cancel("a")
    assert (len(runner._heap), runner._withdrawn) == (5, 1)
    gate.set()
    await until_idle(runner)
    assert is_empty(runner)


async def test_with_no_waiting_room_free_places_are_still_free() -> None:
    """C25: `max_waiting=0` refused what could have started."""
    runner, gate = opened(max_running=2, max_waiting=0), asyncio.Event()
    assert (runner.places, runner.full) == (2, False)
    runner.submit(waiting_job("a", gate))
    assert (runner.places, runner.full) == (1, False)
    runner.submit(waiting_job("b", gate))
    assert (runner.places, runner.full) == (0, True)
    gate.set()
    await until_idle(runner)


async def test_a_job_that_waits_for_its_next_run_keeps_nothing_of_the_last() -> None:
    """`job._task = None`: a run holds its frame, its exception and all that these refer to."""
    runner = opened()
    job = returning("a", 60.0)
    runner.submit(job)
    assert job._task is not None
    run = weakref.ref(job._task)
    await until_idle(runner)
    assert job._task is None
    gc.collect()
    assert run() is None
    assert runner.cancel("a")
    assert is_empty(runner)


async def test_a_job_whose_time_has_come_keeps_no_timer() -> None:
    """`job._timer = None`: it waits for its turn then, and no more for its time."""
    runner, gate = opened(max_running=1), asyncio.Event()
    runner.submit(waiting_job("long", gate))
    job = returning("a", None)
    runner.submit(job, delay=0.001)
    timer = job._timer
    assert timer is not None
    await until(lambda: job._queued, "its time has come")
    assert job._timer is None
    gate.set()
    await until_idle(runner)
    assert job.runs == 1
    assert is_empty(runner)


async def test_what_is_withdrawn_before_its_time_keeps_no_timer_and_tells_the_rest() -> None:
    runner = opened()
    job = returning("a", None)
    runner.submit(job, delay=60)
    timer = job._timer
    assert timer is not None
    assert runner.withdraw_waiting() == [job]
    assert timer.cancelled()
    assert job._timer is None
    assert 0 < job.delay <= 60
    assert is_empty(runner)


async def test_what_is_withdrawn_while_it_waits_for_its_turn_never_starts() -> None:
    """`self._heap.clear()` and `self._withdraw(job)`: the place that becomes free is not theirs."""
    runner, gate = opened(max_running=1), asyncio.Event()
    runner.submit(waiting_job("long", gate))
    jobs = [returning(name, None) for name in "abc"]
    for job in jobs:
        runner.submit(job)
    assert runner.withdraw_waiting() == jobs
    assert (runner.running, runner.waiting, runner.places) == (1, 0, 10)
    assert [runner.get(job.id) for job in jobs] == [None] * 3
    assert not any(job._queued for job in jobs)
    gate.set()
    await until_idle(runner)
    assert [job.runs for job in jobs] == [0, 0, 0]
    assert is_empty(runner)


async def test_what_is_given_back_is_not_here_any_more() -> None:
    """`del self._jobs[job.id]`: what it owned is another's as soon as it is given back."""
    runner = opened(max_running=1)

    async def interrupted() -> float | None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return 7.0
        return None

    job = FunctionJob("a", interrupted)
    waits, later = waiting_job("b", asyncio.Event()), waiting_job("c", asyncio.Event())
    runner.submit(job)
    runner.submit(waits)
    runner.submit(later, delay=60)
    await asyncio.sleep(0)
    given_back, left_behind = await runner.drain(0)
    assert sorted(given_back, key=lambda one: one.id) == [job, waits, later]
    assert left_behind == []
    assert (job.delay, waits.delay, 0 < later.delay <= 60) == (7.0, 0.0, True)
    assert is_empty(runner)


@pytest.mark.parametrize("reason", [Reason.CANCELLED, Reason.LOST])
async def test_what_was_stopped_in_its_last_step_is_not_run_again(reason: Reason) -> None:
    """C6: between the end of a run that wants another and the callback that hears of it."""
    runner, answers = opened(), list[bool]()

    async def fail_as_it_is_stopped() -> float:
        loop = asyncio.get_running_loop()
        loop.call_soon(lambda: answers.append(runner.cancel("a", reason)))
        return 0.0

    job = FunctionJob("a", fail_as_it_is_stopped)
    runner.submit(job)
    await until(lambda: not runner.jobs(), "it has ended")
    await asyncio.sleep(0)
    assert (answers, job.runs, job.stops, job.drops) == ([True], 1, [reason], [])
    assert is_empty(runner)


async def test_what_ends_as_the_process_does_is_given_back_with_the_time_it_has_to_wait() -> None:
    """C6, C7: SHUTDOWN in the same moment takes nothing away."""
    runner = opened()

    async def fail_as_it_is_stopped() -> float:
        asyncio.get_running_loop().call_soon(runner.cancel, "a", Reason.SHUTDOWN)
        return 60.0

    job = FunctionJob("a", fail_as_it_is_stopped)
    runner.submit(job)
    await until_idle(runner)
    assert await runner.drain(0) == ([job], [])
    assert (job.delay, job.runs) == (60.0, 1)


async def test_what_has_ended_cannot_be_stopped_any_more() -> None:
    """C6: its end is told before the callback, and so is that nothing was cancelled."""
    runner, answers = opened(), list[bool]()

    async def end() -> None:
        asyncio.get_running_loop().call_soon(lambda: answers.append(runner.cancel("a")))

    job = FunctionJob("a", end)
    runner.submit(job)
    await until_idle(runner)
    assert (answers, job.stops) == ([False], [])
    assert is_empty(runner)
