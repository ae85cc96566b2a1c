"""One job of a runner by itself: what it begins with, how it is stopped and what is said of it."""

import asyncio
import logging
from contextvars import ContextVar
from typing import Any

import pytest

from hybrid_tasks.loop import runner as module
from hybrid_tasks.loop.runner import (
    Reason,
    Runner,
    RunnerClosed,
    RunnerFull,
    WrongLoop,
    has_ended,
)
from tests.hybrid_tasks.contract.waiting import until
from tests.hybrid_tasks.loop.jobs import FunctionJob, hanging_job, opened, waiting_job


def raising(name: str, error: BaseException) -> FunctionJob:
    async def fail() -> None:
        raise error

    return FunctionJob(name, fail)


def stubborn(name: str, then: BaseException | None = None) -> FunctionJob:
    """Return a job that notes how it is cancelled, and then ends or raises."""

    async def resist() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as cancelled:
            job.told.append(cancelled.args)
        if then is not None:
            raise then

    job: Any = FunctionJob(name, resist)
    job.told = []
    return job  # type: ignore[no-any-return]


# --- What it begins with --------------------------------------------------------------------------


def test_a_job_has_neither_waited_nor_been_stopped() -> None:
    job = waiting_job("a", asyncio.Event())
    assert (job.id, job.priority, job.reason, job.delay) == ("a", 0, None, 0.0)
    assert (job._queued, job._task, job._timer) == (False, None, None)
    plain = module.Job.__init__
    other: Any = object.__new__(FunctionJob)
    plain(other, "b")
    assert (other.id, other.priority) == ("b", 0)


def test_what_is_carried_is_carried_unless_it_is_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_carried", [])
    first: ContextVar[Any] = module.carry(ContextVar("first"))
    module.carry(ContextVar("unset"))
    last: ContextVar[Any] = module.carry(ContextVar("last"))
    first.set(1)
    last.set("")
    job = waiting_job("a", asyncio.Event())
    assert dict(job._context) == {first: 1, last: ""}


def test_a_runner_has_room_for_many() -> None:
    runner = Runner()
    assert (runner.max_running, runner.max_waiting) == (100, 10_000)
    assert (runner.running, runner.waiting, runner.places) == (0, 0, 10_100)
    assert (runner.full, runner.jobs(), runner.get("a")) == (False, [], None)


# --- What is refused ------------------------------------------------------------------------------


async def test_what_is_refused_is_told_why() -> None:
    runner, gate = opened(max_running=1, max_waiting=1), asyncio.Event()
    new = waiting_job("c", gate)
    for name in "ab":
        runner.submit(waiting_job(name, gate))
    with pytest.raises(RunnerFull) as full:
        runner.submit(new)
    assert str(full.value) == "1 jobs run and 1 wait."
    assert runner.get("c") is None
    gate.set()
    await runner.drain(60)
    with pytest.raises(RunnerClosed) as closed:
        runner.submit(new)
    assert str(closed.value) == "The runner takes no more jobs."
    never = Runner()
    with pytest.raises(WrongLoop) as wrong:
        never.submit(new)
    assert str(wrong.value) == f"{never!r} runs on None."


async def test_places_are_never_fewer_than_none() -> None:
    runner, gate = opened(max_running=1, max_waiting=0), asyncio.Event()
    for name in "abc":
        runner.submit(waiting_job(name, gate), accepted=True)
    assert (runner.running, runner.waiting, runner.places, runner.full) == (1, 2, 0, True)
    gate.set()
    await runner.drain(60)


@pytest.mark.parametrize("delay", [0.0, -1.0])
async def test_a_time_that_has_come_is_no_wait(delay: float) -> None:
    runner = opened()
    job = hanging_job("a")
    runner.submit(job, delay)
    assert (runner.running, job._timer) == (1, None)
    assert runner.get("a") is job
    await runner.drain(0)


async def test_a_job_whose_time_comes_runs_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    asked: list[Any] = []
    monkeypatch.setattr(loop, "call_later", lambda *call: asked.append(call))
    runner, job = opened(), hanging_job("a")
    runner.submit(job, 7.5)
    assert asked == [(7.5, runner._due, job)]
    assert (runner.running, runner.waiting) == (0, 1)
    runner._due(job)
    assert (runner.running, runner.waiting) == (1, 0)
    monkeypatch.undo()
    await runner.drain(0)


async def test_also_a_moment_is_waited_for_and_what_is_left_of_it_is_told() -> None:
    runner, job = opened(), hanging_job("a")
    runner.submit(job, 0.5)
    assert (runner.running, runner.waiting) == (0, 1)
    assert runner.withdraw_waiting() == [job]
    assert 0 <= job.delay <= 0.5


async def test_for_each_that_ends_one_begins() -> None:
    runner, gates = opened(max_running=1), [asyncio.Event() for _ in range(3)]
    jobs = [waiting_job(str(number), gate) for number, gate in enumerate(gates)]
    for job in jobs:
        runner.submit(job)
    gates[0].set()
    await until(lambda: jobs[1].runs, "the next one runs")
    assert (runner.running, runner.waiting, jobs[2].runs) == (1, 1, 0)
    assert [job._queued for job in jobs] == [False, False, True]
    for gate in gates:
        gate.set()
    await runner.drain(60)


async def test_what_waits_no_more_is_forgotten_when_it_is_more_than_half() -> None:
    """Else each of many would have all others sorted anew."""
    runner, gate = opened(max_running=1), asyncio.Event()
    for name in "abcde":
        runner.submit(waiting_job(name, gate))
    for name, left in [("b", (4, 1)), ("c", (4, 2)), ("d", (1, 0))]:
        assert runner.cancel(name)
        assert (len(runner._heap), runner._withdrawn) == left
    gate.set()
    await runner.drain(60)


async def test_what_is_cut_off_without_a_word_has_nothing_to_wait_for() -> None:
    runner, job = opened(), waiting_job("a", asyncio.Event())
    runner.submit(job)
    assert await runner.drain(0) == ([job], [])
    assert job.delay == 0.0


async def test_what_waits_for_its_time_again_gives_its_place_to_others() -> None:
    runner, gate = opened(max_running=1), asyncio.Event()
    answers = iter([60.0, None])

    async def answer() -> float | None:
        return next(answers)

    again, next_one = FunctionJob("a", answer), waiting_job("b", gate)
    runner.submit(again)
    runner.submit(next_one)
    await until(lambda: next_one.runs, "the other runs")
    assert (runner.running, runner.waiting, again.runs) == (1, 1, 1)
    assert again._timer is not None
    gate.set()
    assert await runner.drain(0.05) == ([again], [])
    assert 0 < again.delay <= 60


# --- How it is stopped ----------------------------------------------------------------------------


@pytest.mark.parametrize("reason", [None, *Reason])
async def test_what_runs_is_cancelled_with_the_reason(reason: Reason | None) -> None:
    runner, job = opened(), stubborn("a")
    runner.submit(job)
    await asyncio.sleep(0)
    assert runner.cancel("a") if reason is None else runner.cancel("a", reason)
    expected = reason or Reason.CANCELLED
    assert (job.reason, job.stops) == (expected, [expected])
    await until(lambda: not runner.running, "it has ended")
    assert job.told == [(expected.value,)]  # type: ignore[attr-defined]
    assert (job.drops, runner.jobs()) == ([], [])


async def test_what_waits_is_stopped_once_and_never_runs() -> None:
    runner, gate = opened(max_running=1), asyncio.Event()
    queued, later = waiting_job("b", gate), waiting_job("c", gate)
    runner.submit(waiting_job("a", gate))
    runner.submit(queued)
    runner.submit(later, 60)
    for job in (queued, later):
        assert runner.cancel(job.id, Reason.LOST)
        assert not runner.cancel(job.id)
        assert (job.reason, job.stops) == (Reason.LOST, [Reason.LOST])
    assert not runner.cancel("unknown")
    assert runner.waiting == 0
    gate.set()
    await runner.drain(60)
    assert (queued.runs, later.runs) == (0, 0)


async def test_what_is_being_stopped_is_not_stopped_again() -> None:
    runner, job = opened(), stubborn("a")
    runner.submit(job)
    await asyncio.sleep(0)
    assert runner.cancel("a", Reason.LOST)
    assert not runner.cancel("a", Reason.SHUTDOWN)
    assert (job.reason, job.stops) == (Reason.LOST, [Reason.LOST])
    await runner.drain(60)


async def test_a_job_may_stop_itself_in_its_first_step_also_an_eager_one() -> None:
    loop = asyncio.get_running_loop()
    loop.set_task_factory(asyncio.eager_task_factory)
    runner = opened()
    told: list[Any] = []

    async def stop_itself() -> None:
        assert runner.cancel("a")
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError as cancelled:
            told.append(cancelled.args)

    job = FunctionJob("a", stop_itself)
    runner.submit(job)
    await until(lambda: not runner.jobs(), "it has ended")
    assert told == [(Reason.CANCELLED.value,)]
    assert (job.runs, job.stops) == (1, [Reason.CANCELLED])


async def test_what_has_ended_in_its_first_step_leaves_nothing() -> None:
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    runner, gate = opened(), asyncio.Event()
    gate.set()
    job = waiting_job("a", gate)
    runner.submit(job)
    assert job._task is None
    await until(lambda: not runner.jobs(), "its end is heard")
    assert (runner.running, job.runs) == (0, 1)


@pytest.mark.parametrize(
    ("end", "ended"),
    [(None, True), (0.0, False), (KeyError(), False), (asyncio.CancelledError(), False)],
    ids=repr,
)
async def test_only_what_wants_nothing_more_has_ended(end: Any, ended: bool) -> None:
    async def run() -> float | None:
        await gate.wait()
        if isinstance(end, BaseException):
            raise end
        return end  # type: ignore[no-any-return]

    gate, job = asyncio.Event(), FunctionJob("a", asyncio.Event().wait)  # type: ignore[arg-type]
    assert not has_ended(job)
    job._task = asyncio.create_task(run())
    assert not has_ended(job)
    gate.set()
    await asyncio.wait([job._task])
    assert has_ended(job) is ended
    if isinstance(end, KeyError):
        assert job._task.exception() is end


# --- What is said of it ---------------------------------------------------------------------------


def errors(caplog: pytest.LogCaptureFixture) -> list[tuple[str, Any]]:
    return [
        (one.getMessage(), one.exc_info and one.exc_info[1])
        for one in caplog.records
        if one.levelno >= logging.ERROR
    ]


@pytest.mark.parametrize("error", [KeyError("bad"), None], ids=repr)
async def test_a_job_that_ends_by_itself_is_dropped_in_the_open(
    error: BaseException | None, caplog: pytest.LogCaptureFixture
) -> None:
    runner = opened()
    job = raising("a", error or asyncio.CancelledError())
    runner.submit(job)
    await until(lambda: not runner.jobs(), "it has ended")
    assert job.drops == [error]
    assert errors(caplog) == [("Job a ended without having done its work", error)]


@pytest.mark.parametrize("reason", Reason)
async def test_a_job_that_raises_when_it_is_stopped_is_named(
    reason: Reason, caplog: pytest.LogCaptureFixture
) -> None:
    runner, error = opened(), KeyError("bad")
    job = stubborn("a", then=error)
    runner.submit(job)
    await asyncio.sleep(0)
    runner.cancel("a", reason)
    await until(lambda: not runner.jobs(), "it has ended")
    assert job.drops == []
    assert errors(caplog) == [("Job a raised, which no job may", error)]
    assert await runner.drain(0) == ([], [])


@pytest.mark.parametrize("reason", [Reason.CANCELLED, Reason.LOST])
async def test_what_is_stopped_before_its_first_step_is_not_given_back(
    reason: Reason, caplog: pytest.LogCaptureFixture
) -> None:
    runner, job = opened(), hanging_job("a")
    runner.submit(job)
    assert runner.cancel("a", reason)
    await until(lambda: not runner.jobs(), "it has ended")
    assert (job.runs, job.drops, errors(caplog)) == (0, [], [])
    assert await runner.drain(0) == ([], [])


# --- The end --------------------------------------------------------------------------------------


async def test_a_runner_waits_as_long_as_it_may_then_as_long_as_it_must(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    waited: list[float] = []

    async def wait(_runner: Runner, seconds: float) -> None:
        waited.append(seconds)

    runner, jobs = opened(), [hanging_job("a"), hanging_job("b")]
    for job in jobs:
        runner.submit(job)
    await asyncio.sleep(0)
    monkeypatch.setattr(Runner, "_until_idle", wait)
    given_back, left_behind = await runner.drain(60)
    assert waited == [60, 5.0]
    assert (given_back, set(left_behind)) == ([], set(jobs))
    assert {message for message, _ in errors(caplog)} == {
        f"Job {name} did not stop within 5 s and is left behind" for name in "ab"
    }
    monkeypatch.undo()
    assert await runner.drain(60) == ([], [])


async def test_what_is_given_back_is_given_once() -> None:
    runner, job = opened(), hanging_job("a", then=3.0)
    runner.submit(job)
    await asyncio.sleep(0)
    assert await runner.drain(0) == ([job], [])
    assert job.delay == 3.0
    assert await runner.drain(0) == ([], [])


async def test_a_runner_ends_as_soon_as_nothing_runs() -> None:
    runner, gate = opened(), asyncio.Event()
    runner.submit(waiting_job("a", gate))
    draining = asyncio.create_task(runner.drain(60))
    await asyncio.sleep(0)
    assert not draining.done()
    gate.set()
    async with asyncio.timeout(30):
        assert await draining == ([], [])
