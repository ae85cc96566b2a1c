"""Sync functions on the loop: when their time begins, and what their threads may still do."""

import asyncio
from typing import Any

import pytest
from django.tasks import TaskResultStatus

from hybrid_tasks.backends.eventloop import serve
from hybrid_tasks.execution.threads import Pool
from hybrid_tasks.results.recorder import recorder
from hybrid_tasks.runtime import current
from tests.hybrid_tasks.contract.waiting import finished, refreshed_until, until
from tests.hybrid_tasks.loop import misbehaving
from tests.hybrid_tasks.loop.misbehaving import gates, passed, runs
from tests.hybrid_tasks.outbox.on_loop import backend, settled
from tests.hybrid_tasks.outbox.rows import State
from tests.processes import PATIENCE

pytestmark = pytest.mark.usefixtures("only_loop")

SOON = 0.2  # seconds


async def test_the_time_of_a_function_begins_when_a_thread_is_free_for_it() -> None:
    """C14: of 24 tasks of a second with two seconds' time, 18 failed, and six never began."""
    async with serve():
        blocking: list[Any] = [
            await misbehaving.wait_in_thread.aenqueue("gate")
            for _ in range(current().part(Pool)._max_workers)
        ]
        await until(lambda: len(runs) == len(blocking), "all threads are taken")
        waits: Any = await misbehaving.wait_in_thread.using(timeout=60 * SOON).aenqueue("gate")
        quick: Any = await misbehaving.wait_in_thread.using(timeout=SOON).aenqueue("gate")
        # Its time begins later than theirs would, and is over.
        hangs: Any = await misbehaving.wait.using(timeout=SOON).aenqueue("closed")
        assert (await finished(hangs)).status == TaskResultStatus.FAILED
        assert not {waits.id, quick.id} & set(runs)
        gates["gate"].set()
        for result in (*blocking, waits, quick):
            assert (await finished(result)).return_value == "gate"


async def test_a_function_that_waits_for_a_thread_is_cancelled_without_an_attempt() -> None:
    """C14: what has not begun has lost nothing."""
    async with serve():
        for _ in range(current().part(Pool)._max_workers):
            await misbehaving.wait_in_thread.aenqueue("gate")
        await until(lambda: len(runs) == current().part(Pool)._max_workers, "all are taken")
        result: Any = await misbehaving.wait_in_thread.aenqueue("gate")
        assert await backend().acancel(result.id)
        assert (await finished(result)).status == TaskResultStatus.FAILED
        assert result.attempts == 0
        gates["gate"].set()
    assert result.id not in runs


@pytest.mark.parametrize("durable", [False, True], ids=["ordinary", "durable"])
async def test_the_thread_of_an_attempt_that_is_over_changes_nothing(durable: bool) -> None:
    """C15: it saved its metadata, and with that READY or RUNNING over the end, for ever."""
    async with serve():
        task: Any = misbehaving.save_late.using(timeout=SOON, durable=durable)
        result: Any = await finished(await task.aenqueue("gate"))
        assert result.status == TaskResultStatus.FAILED
        ended = result.finished_at
        gates["gate"].set()
        await until(lambda: passed, "the thread has gone on to its end")
        assert await asyncio.to_thread(recorder().flush, PATIENCE)
        await result.arefresh()
        assert (result.status, result.finished_at) == (TaskResultStatus.FAILED, ended)
        assert "late" not in result.metadata
        kept = backend().store.load(result.id)
        assert (kept.status, kept.metadata) == (TaskResultStatus.FAILED, {})
        assert await settled() == ({result.id: State.DEAD} if durable else {})


async def test_an_attempt_waits_for_the_thread_of_the_one_before() -> None:
    """C7, C15: of one task, two functions never run at once."""
    async with serve():
        task = misbehaving.save_late.using(timeout=SOON, max_attempts=2, backoff=at_once)
        result: Any = await task.aenqueue("gate")
        await refreshed_until(result, lambda it: it.errors, "the first attempt fails")
        other: Any = await misbehaving.wait.using(timeout=SOON).aenqueue("closed")
        await finished(other)  # as long as another attempt would have had
        assert runs == [result.id, other.id]
        gates["gate"].set()
        assert (await finished(result)).status == TaskResultStatus.SUCCESSFUL
        assert runs == [result.id, other.id, result.id]
        assert result.metadata == {"late": True}


def at_once(_exception: BaseException, _result: Any) -> float:
    return 0.0
