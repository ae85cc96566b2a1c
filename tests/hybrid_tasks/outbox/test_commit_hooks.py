"""What happens on commit is nobody else's trouble."""

import asyncio
from functools import partial
from typing import Any

import pytest
from django.core.exceptions import SynchronousOnlyOperation
from django.db import transaction
from django.tasks import TaskResultStatus
from django.tasks.signals import task_enqueued
from pytest_django import Settings

from hybrid_tasks.backends.eventloop import serve
from hybrid_tasks.exceptions import TaskQueueFull
from hybrid_tasks.outbox import table
from hybrid_tasks.runtime import current
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.contract.waiting import finished, until
from tests.hybrid_tasks.outbox import durable_tasks
from tests.hybrid_tasks.outbox.durable_tasks import gates, runs
from tests.hybrid_tasks.outbox.on_loop import backend, enqueue, settled, use
from tests.hybrid_tasks.outbox.rows import State
from tests.hybrid_tasks.threads import in_thread

pytestmark = pytest.mark.usefixtures("database", "fresh_loop")


def enqueue_five_in_transaction(hooks: list[str]) -> list[Any]:
    """Enqueue ordinary tasks and a durable one, between hooks of others; return their results."""
    alias = table.alias()
    # Ordinary tasks wait for the default database's transaction, durable ones for their row's.
    with transaction.atomic(), transaction.atomic(alias):
        transaction.on_commit(partial(hooks.append, "before"))
        results = [tasks.plain.enqueue(number) for number in range(3)]
        results += [durable_tasks.count.enqueue(), tasks.plain.enqueue(4)]
        transaction.on_commit(partial(hooks.append, "after"))
        transaction.on_commit(partial(hooks.append, "row's"), using=alias)
    return results


async def test_a_full_queue_leaves_no_transaction_with_an_error(settings: Settings) -> None:
    """C12: TaskQueueFull left `atomic()` after the commit; other hooks never ran."""
    use(settings, max_running=1, max_waiting=0)
    hooks: list[str] = []
    async with serve():
        running: Any = await enqueue(durable_tasks.wait_for, "gate")
        await until(lambda: runs, "the one place is taken")
        with pytest.raises(TaskQueueFull):
            await tasks.plain.aenqueue(0)
        *ordinary, last, durable = sorted(
            await in_thread(enqueue_five_in_transaction, hooks),
            key=lambda one: one.task.module_path == durable_tasks.count.module_path,
        )
        assert hooks == ["row's", "before", "after"]
        for result in (*ordinary, last):
            await finished(result)
            assert result.status == TaskResultStatus.FAILED
            assert result.errors[0].exception_class is TaskQueueFull
        # The durable one was accepted: it is left to the relay, and is nobody's until then.
        assert await settled() == {running.id: State.CLAIMED, durable.id: State.WAITING}
        assert set(current().owned()) == {running.id}
        assert (await backend().aget_result(durable.id)).status == TaskResultStatus.READY
        gates["gate"].set()
        await finished(running)


async def test_a_dispatch_that_breaks_leaves_its_row_to_the_relay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """C12: whatever it raises: the row was CLAIMED, with nobody who held it."""

    def broken(*_args: Any) -> None:
        raise ZeroDivisionError("nobody expects this")

    hooks: list[str] = []
    told: list[str] = []

    def note(task_result: Any, **_kwargs: Any) -> None:
        told.append(task_result.id)

    monkeypatch.setattr(type(backend()), "dispatch", broken)
    task_enqueued.connect(note)
    try:
        results = await in_thread(enqueue_five_in_transaction, hooks)
        alone = await enqueue(durable_tasks.count)
        threaded = await asyncio.to_thread(durable_tasks.count.enqueue)
    finally:
        task_enqueued.disconnect(note)
    assert hooks == ["row's", "before", "after"]
    durable = results[3]
    expected = dict.fromkeys((durable.id, alone.id, threaded.id), State.WAITING)
    assert await settled() == expected
    assert current().owned() == {}
    # C8: they were accepted, and so they are announced and found.
    assert told == list(expected)
    for task_id in expected:
        assert (await backend().aget_result(task_id)).status == TaskResultStatus.READY
    assert runs == []


async def test_a_durable_task_is_not_enqueued_by_sync_code_on_a_loop() -> None:
    """C25: it waited up to five seconds for the database, and all of the loop with it."""
    async with serve():
        with pytest.raises(SynchronousOnlyOperation, match="use aenqueue"):
            durable_tasks.count.enqueue()
        assert await settled() == {}
        ordinary: Any = tasks.plain.enqueue("ribs")
        assert (await finished(ordinary)).return_value == "ribs"
