"""Settings that change under a process, as they do in tests."""

import asyncio
import threading
from typing import Any

import pytest
from django.core.cache import caches as kept_in
from django.tasks import TaskResultStatus
from django.tasks.exceptions import TaskResultDoesNotExist
from django.test import override_settings
from pytest_django import Settings

from hybrid_tasks.backends.eventloop import serve
from hybrid_tasks.exceptions import TaskQueueFull, ValueTooLarge
from hybrid_tasks.tasks import task
from hybrid_tasks.testing import capture_tasks, run_tasks
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.contract.unfriendly.surroundings import all_goes_well
from tests.hybrid_tasks.outbox.rows import LEASE
from tests.processes import wait_until

pytestmark = pytest.mark.usefixtures("only_loop")

LOOP = "hybrid_tasks.backends.eventloop.EventLoopBackend"
gate = threading.Event()


@task
def wait_in_thread() -> None:
    gate.wait(60)


def with_options(**options: Any) -> dict[str, Any]:
    options = {"lease": LEASE, "drain_timeout": 0, **options}
    return {"default": {"BACKEND": LOOP, "OPTIONS": options}}


def finished(result: Any) -> Any:
    def ended() -> bool:
        result.refresh()
        return bool(result.is_finished)

    wait_until(ended, "it ends")
    return result


def test_a_private_loop_runs_by_the_options_of_the_moment() -> None:
    """It had those with which it was started, for ever."""
    assert finished(tasks.plain.enqueue(1)).return_value == 1
    with override_settings(TASKS=with_options(max_running=1, max_waiting=0)):
        gate.clear()
        first = wait_in_thread.enqueue()
        try:
            with pytest.raises(TaskQueueFull):
                wait_in_thread.enqueue()
        finally:
            gate.set()
        assert finished(first).status == TaskResultStatus.SUCCESSFUL
    assert [finished(tasks.plain.enqueue(number)).return_value for number in range(5)] == [
        *range(5)
    ]


def test_a_private_loop_keeps_what_the_limit_of_the_moment_lets_it() -> None:
    assert finished(tasks.plain.enqueue("x" * 5000)).return_value == "x" * 5000
    with override_settings(TASKS=with_options(max_bytes=1024)):
        with pytest.raises(ValueTooLarge):
            tasks.plain.enqueue("x" * 5000)
        result: Any = finished(tasks.echo.enqueue("x" * 1000))
        assert result.status == TaskResultStatus.FAILED
        assert result.errors[0].exception_class is ValueTooLarge


def test_results_go_where_the_settings_of_the_moment_say() -> None:
    locmem = "django.core.cache.backends.locmem.LocMemCache"
    assert finished(tasks.plain.enqueue(1)).return_value == 1
    caches = {"default": {"BACKEND": locmem}, "other": {"BACKEND": locmem, "LOCATION": "other"}}
    with override_settings(CACHES=caches, TASKS=with_options(result_cache="other")):
        result: Any = finished(tasks.plain.enqueue(2))
        key = f"hybrid_tasks:result:{result.id}"
        wait_until(lambda: kept_in["other"].get(key), "it is kept in the other cache")
        assert kept_in["default"].get(key) is None
        kept = result.id
    with pytest.raises(TaskResultDoesNotExist):
        tasks.plain.get_result(kept)


@pytest.mark.parametrize("capture", [capture_tasks, run_tasks])
def test_tasks_can_be_captured_and_run_for_real_in_turn(capture: Any) -> None:
    for number in range(3):
        with capture() as captured:
            caught: Any = tasks.plain.enqueue("caught")
        assert [one.id for one in captured.results] == [caught.id]
        assert finished(tasks.plain.enqueue(number)).return_value == number


async def test_a_servers_loop_goes_on_while_tasks_are_captured() -> None:
    async with serve():
        before: Any = await tasks.hang.aenqueue()
        with capture_tasks() as captured:
            caught: Any = await tasks.plain.aenqueue("caught")
        assert [one.id for one in captured.results] == [caught.id]
        await all_goes_well()
        assert await before.task.get_backend().acancel(before.id)


async def test_backends_can_come_and_go(settings: Settings) -> None:
    dummy = {"BACKEND": "django.tasks.backends.dummy.DummyBackend"}
    for _ in range(3):
        with override_settings(TASKS={"default": dummy}):
            result: Any = await tasks.plain.aenqueue(1)
            assert result.status == TaskResultStatus.READY
        async with serve():
            await all_goes_well()
    assert await asyncio.to_thread(lambda: finished(tasks.plain.enqueue(1)).return_value) == 1
