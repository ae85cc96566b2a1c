"""Looking up and cancelling a task whose row is all that is known of it."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import caches
from django.core.cache.backends.locmem import LocMemCache
from django.db import transaction
from django.tasks import TaskResultStatus
from django.tasks.exceptions import TaskResultDoesNotExist
from django.tasks.signals import task_enqueued
from django.utils import timezone

from hybrid_tasks.backends.eventloop import serve
from hybrid_tasks.exceptions import TaskCancelled
from hybrid_tasks.outbox import table
from hybrid_tasks.results.recorder import recorder
from hybrid_tasks.results.task_result import TaskResult
from hybrid_tasks.runtime import Runtime, use
from tests.hybrid_tasks.contract.waiting import finished
from tests.hybrid_tasks.outbox import durable_tasks
from tests.hybrid_tasks.outbox.on_loop import backend, enqueue, running, settled
from tests.hybrid_tasks.outbox.rows import State, change, row
from tests.hybrid_tasks.threads import in_thread
from tests.processes import PATIENCE

pytestmark = pytest.mark.usefixtures("database", "fresh_loop")

DAYS = timedelta(days=3)


def later() -> Any:
    return durable_tasks.count.using(run_after=timezone.now() + DAYS)


async def elsewhere(task_id: str) -> TaskResult:
    """Look a task up as another process would."""
    with use(Runtime(threads=False)):
        return await in_thread(backend().get_result, task_id)  # type: ignore[no-any-return]


async def forget() -> None:
    """Let the cache lose all that it was ever told."""
    assert await asyncio.to_thread(recorder().flush, PATIENCE)
    await asyncio.to_thread(caches["default"].clear)


async def test_what_is_left_to_the_relay_is_found_at_once_and_announced() -> None:
    """C8: 19 of 20 look-ups failed right after `enqueue()`, and no `task_enqueued` was sent."""
    told: list[str] = []

    def note(task_result: TaskResult, **_kwargs: Any) -> None:
        told.append(task_result.id)

    task_enqueued.connect(note)
    try:
        results = [await enqueue(later()), await asyncio.to_thread(later().enqueue)]
    finally:
        task_enqueued.disconnect(note)
    for result in results:
        found = await elsewhere(result.id)
        assert (found.id, found.status) == (result.id, TaskResultStatus.READY)
    assert told == [result.id for result in results]


@pytest.mark.parametrize("commit", [True, False], ids=["committed", "rolled back"])
async def test_what_waits_for_a_commit_is_found_after_it(commit: bool) -> None:
    """C8: and not without it."""

    def in_transaction() -> Any:
        with transaction.atomic(table.alias()):
            result = later().enqueue()
            transaction.set_rollback(not commit, table.alias())
        return result

    result = await in_thread(in_transaction)
    if commit:
        assert (await elsewhere(result.id)).id == result.id
    else:
        with pytest.raises(TaskResultDoesNotExist):
            await elsewhere(result.id)


async def test_a_cleared_cache_loses_no_waiting_task() -> None:
    """C10: its row is there: it can be found, and cancelled."""
    result = await enqueue(later())
    assert await settled() == {result.id: State.WAITING}
    await forget()
    assert (await elsewhere(result.id)).status == TaskResultStatus.READY
    with use(Runtime(threads=False)) as other:
        assert await in_thread(backend().cancel, result.id) is True
        await asyncio.to_thread(other.step)
    assert await settled() == {}
    await finished(result)
    assert result.errors[-1].exception_class is TaskCancelled


@pytest.mark.parametrize("how", ["get", "set_many"])
async def test_a_cache_that_is_away_keeps_nobody_from_cancelling(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C10: looking up needs no cache, and nor does cancelling."""

    def away(*_args: Any, **_kwargs: Any) -> Any:
        raise ConnectionError("the cache is away")

    result = await enqueue(later())
    assert await settled() == {result.id: State.WAITING}
    await forget()
    with monkeypatch.context() as patched:
        patched.setattr(LocMemCache, how, away)
        assert (await elsewhere(result.id)).status == TaskResultStatus.READY
        assert await backend().acancel(result.id) is True
        assert await settled() == {}


async def test_what_runs_elsewhere_is_running_also_without_a_cache() -> None:
    """C10: as far as its row tells: which attempt, and that it has begun."""
    async with running() as result:
        assert await settled() == {result.id: State.CLAIMED}
        await forget()
        found = await elsewhere(result.id)
        assert (found.status, found.attempts) == (TaskResultStatus.RUNNING, 1)
        await backend().acancel(result.id)


async def test_a_dead_letter_is_failed_also_without_a_cache() -> None:
    """C10: with its errors."""
    async with serve():
        result = await finished(await enqueue(durable_tasks.give_up))
    assert await settled() == {result.id: State.DEAD}
    await forget()
    found = await elsewhere(result.id)
    assert (found.status, found.errors) == (TaskResultStatus.FAILED, result.errors)


@pytest.mark.parametrize("message", ["{}", "[]", "", "no JSON", '{"task": {"path": "os.abort"}}'])
async def test_a_row_that_nobody_can_read_is_no_result(message: str) -> None:
    """C25: garbage is no task that anybody knows, and nothing else is raised."""
    result = await enqueue(later())
    await settled()
    await in_thread(lambda: change(result.id, message=message))
    await forget()
    with pytest.raises(TaskResultDoesNotExist):
        await elsewhere(result.id)
    assert (await in_thread(row, result.id)).state == State.WAITING


async def test_sync_code_on_a_loop_finds_what_is_only_in_its_row() -> None:
    """As Django's own tests do it: get_result() in a coroutine."""
    result = await enqueue(later())
    await settled()
    await forget()
    with use(Runtime(threads=False)):
        assert backend().get_result(result.id).id == result.id
        with pytest.raises(TaskResultDoesNotExist):
            backend().get_result("123")
