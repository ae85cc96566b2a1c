"""What an orderly stop does with what runs and waits: never twice at once, and in its time."""

import asyncio
from functools import partialmethod
from typing import Any

import pytest
from django.tasks import TaskResultStatus
from django.utils import timezone
from pytest_django import Settings

from hybrid_tasks.backends.eventloop import serve, workers
from hybrid_tasks.exceptions import TaskInterrupted
from hybrid_tasks.loop.runner import Runner
from hybrid_tasks.runtime import current
from hybrid_tasks.tasks import task
from tests.hybrid_tasks.contract.waiting import finished, refreshed_until, until
from tests.hybrid_tasks.loop import misbehaving
from tests.hybrid_tasks.loop.misbehaving import doors, gates, runs
from tests.hybrid_tasks.outbox import durable_tasks
from tests.hybrid_tasks.outbox.on_loop import settled, use
from tests.hybrid_tasks.outbox.rows import ABOUT, LEASE, State, about, row
from tests.hybrid_tasks.taker import taken, use_with_taker
from tests.hybrid_tasks.threads import in_thread

pytestmark = pytest.mark.usefixtures("only_loop", "impatient")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a stop wait as good as not at all for what resists it."""
    monkeypatch.setattr(Runner, "drain", partialmethod(Runner.drain, grace=0.05))


def after_a_lease(_exception: BaseException, _task_result: object) -> float:
    return LEASE


@task(max_attempts=2, backoff=after_a_lease)
async def fail_and_wait() -> None:
    raise ValueError("not yet")


async def test_who_resists_is_handed_over_if_it_has_attempts_left(settings: Settings) -> None:
    """P2: it stayed RUNNING for ever, though an overflow was there to take it."""
    use_with_taker(settings)
    async with serve():
        result: Any = await misbehaving.resist.using(max_attempts=2).aenqueue("door")
        await until(lambda: runs, "it runs")
    assert [(one.id, one.attempts, one.status) for one in taken] == [
        (result.id, 1, TaskResultStatus.READY)
    ]
    # What its attempt here may still do counts no more.
    doors["door"].set()
    await until(lambda: not asyncio.all_tasks() - {asyncio.current_task()}, "it has ended")
    await result.arefresh()
    assert result.status == TaskResultStatus.READY
    assert taken[0].errors[0].exception_class is TaskInterrupted


async def test_who_resists_without_attempts_left_fails_openly(settings: Settings) -> None:
    """P2: nobody may run it again, and so it ends here."""
    use_with_taker(settings)
    async with serve():
        result: Any = await misbehaving.resist.aenqueue("door")
        await until(lambda: runs, "it runs")
    await finished(result)
    assert result.errors[-1].exception_class is TaskInterrupted
    assert taken == []
    doors["door"].set()
    await until(lambda: not asyncio.all_tasks() - {asyncio.current_task()}, "it has ended")
    await result.arefresh()
    assert result.status == TaskResultStatus.FAILED


async def test_who_resists_without_an_overflow_fails_openly(settings: Settings) -> None:
    """P2: with attempts left, too."""
    async with serve():
        result: Any = await misbehaving.resist.using(max_attempts=2).aenqueue("door")
        await until(lambda: runs, "it runs")
    await finished(result)
    assert result.errors[-1].exception_class is TaskInterrupted
    doors["door"].set()


@pytest.mark.parametrize("kind", ["coroutine", "thread"])
async def test_a_durable_task_that_still_runs_keeps_its_row(settings: Settings, kind: str) -> None:
    """C7: it was handed over while its thread went on: 14 s of both at once."""
    use_with_taker(settings)
    one = misbehaving.resist if kind == "coroutine" else misbehaving.wait_in_thread
    async with serve():
        result: Any = await one.using(max_attempts=2, durable=True).aenqueue("gate")
        await until(lambda: runs, "it runs")
    assert taken == []
    assert await settled() == {result.id: State.CLAIMED}
    assert current().owned() == {result.id: LEASE}
    gates["gate"].set()
    doors["gate"].set()
    await until(lambda: not current().owned(), "it has ended")
    assert await settled() == {}
    await result.arefresh()
    assert result.status == TaskResultStatus.SUCCESSFUL


async def test_a_durable_tasks_backoff_is_kept_in_its_row(settings: Settings) -> None:
    """C7: it was retried 0.6 s later elsewhere though its backoff said 60 s."""
    use_with_taker(settings)
    async with serve():
        result: Any = await durable_tasks.fail_and_wait.aenqueue()
        await refreshed_until(result, lambda it: it.errors, "its first attempt fails")
    assert taken == []
    assert await settled() == {result.id: State.WAITING}
    assert await in_thread(about, result.id, LEASE)
    assert len((await in_thread(row, result.id)).errors) == 1


async def test_an_ordinary_tasks_backoff_goes_with_it(settings: Settings) -> None:
    """C7: as the earliest time at which it may run."""
    use_with_taker(settings)
    async with serve():
        result: Any = await fail_and_wait.aenqueue()
        await refreshed_until(result, lambda it: it.errors, "its first attempt fails")
    (handed,) = taken
    assert handed.id == result.id
    due = handed.task.run_after
    assert due is not None
    assert LEASE - ABOUT < (due - timezone.now()).total_seconds() <= LEASE


async def test_what_waits_for_its_turn_is_handed_over_without_delay(settings: Settings) -> None:
    """C7: nor does anything wait that had not to."""
    use_with_taker(settings, max_running=1)
    async with serve():
        running: Any = await misbehaving.wait.using(max_attempts=2).aenqueue("closed")
        waiting: Any = await misbehaving.wait.aenqueue("closed")
        await until(lambda: runs, "the first one runs")
    assert {one.id: one.task.run_after for one in taken} == {running.id: None, waiting.id: None}
    assert runs == [running.id]


@pytest.mark.parametrize(("attempts", "state"), [(3, State.WAITING), (1, State.DEAD)])
async def test_a_loop_that_ends_by_itself_leaves_durable_tasks_to_the_relay(
    attempts: int, state: State, settings: Settings
) -> None:
    """C17: the cancellation by the loop's end counted as the task's failure: a dead letter."""
    use(settings, max_running=1)
    ids: list[str] = []

    async def end_without_a_word() -> None:
        backend: Any = durable_tasks.wait_for.get_backend()
        worker = backend.new_worker()
        worker.open()
        workers()["default"] = worker
        try:
            running: Any = await durable_tasks.wait_for.using(max_attempts=attempts).aenqueue("a")
            waiting: Any = await durable_tasks.count.aenqueue()
            ids.extend((running.id, waiting.id))
            await until(lambda: durable_tasks.runs, "the first one runs")
        finally:
            del workers()["default"]

    await asyncio.to_thread(asyncio.run, end_without_a_word())
    assert durable_tasks.runs == ids[:1]
    found = await settled()
    assert found[ids[0]] == state
    assert found[ids[1]] in (State.CLAIMED, State.WAITING)  # until the lease ends, or at once
    assert (await in_thread(row, ids[0])).attempts == 1
