"""Loops of every kind, several in one process, and several backends on one."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
import uvloop
from django.tasks import TaskResultStatus
from django.tasks.exceptions import TaskResultDoesNotExist
from pytest_django import Settings

from hybrid_tasks.backends.eventloop import serve, workers
from hybrid_tasks.exceptions import TaskQueueFull
from hybrid_tasks.runtime import current
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.contract.unfriendly.surroundings import all_goes_well, enqueue, serve_well
from tests.hybrid_tasks.contract.waiting import finished, refreshed_until
from tests.hybrid_tasks.outbox.on_loop import use
from tests.hybrid_tasks.outbox.rows import LEASE

pytestmark = pytest.mark.usefixtures("only_loop")

type NewLoop = Callable[[], asyncio.AbstractEventLoop]


def eager(new_loop: NewLoop) -> NewLoop:
    def new() -> asyncio.AbstractEventLoop:
        loop = new_loop()
        loop.set_task_factory(asyncio.eager_task_factory)
        return loop

    return new


def debugging() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    loop.set_debug(True)
    return loop


LOOPS: dict[str, NewLoop] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
    "eager": eager(asyncio.new_event_loop),
    "debug": debugging,
}


def run(new_loop: NewLoop, scenario: Callable[[], Any] = serve_well) -> None:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(scenario())


@pytest.mark.parametrize("name", LOOPS)
def test_every_loop_will_do(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """P6: with eager tasks, jobs run before the runner knows them."""
    run(LOOPS[name])
    assert current().owned() == {}
    assert "Exception in callback" not in caplog.text
    assert "was never awaited" not in caplog.text


def test_loops_one_after_the_other_share_a_process() -> None:
    """Each is a worker of its own, and leaves nothing of itself behind."""
    for new_loop in (*LOOPS.values(), *LOOPS.values()):
        run(new_loop)
        assert workers() == {}
        assert current().owned() == {}
        assert current().owners == []


def test_loops_in_several_threads_at_once_share_a_process(settings: Settings) -> None:
    """The last that has opened serves those who are no loop; none harms another."""
    errors: list[BaseException] = []
    together = threading.Barrier(3)

    async def together_with_others() -> None:
        async with serve():
            await asyncio.to_thread(together.wait, 60)
            results: list[Any] = [await tasks.plain.aenqueue(number) for number in range(20)]
            for number, result in enumerate(results):
                assert (await finished(result)).return_value == number
            await asyncio.to_thread(together.wait, 60)

    def one() -> None:
        try:
            asyncio.run(together_with_others())
        except BaseException as error:
            errors.append(error)
            together.abort()
            raise

    threads = [threading.Thread(target=one) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert current().owned() == {}


async def test_a_private_loop_gives_way_to_a_servers() -> None:
    """What comes then is the server's."""
    before: Any = await asyncio.to_thread(tasks.plain.enqueue, "before")
    assert (await finished(before)).return_value == "before"
    async with serve():
        await all_goes_well()
    assert workers() == {}


async def test_two_backends_on_one_loop_have_their_own_places(settings: Settings) -> None:
    use(settings, max_running=1, max_waiting=0)
    one = settings.TASKS["default"]
    settings.TASKS = {
        "default": one,
        "other": {**one, "OPTIONS": {"lease": LEASE, "drain_timeout": 0, "max_running": 5}},
    }
    async with serve():
        holds = await enqueue(tasks.hang, alias="default")
        await refreshed_until(holds, lambda it: it.attempts, "it takes the one place")
        with pytest.raises(TaskQueueFull):
            await enqueue(tasks.plain, 1, alias="default")
        await all_goes_well("other")
        assert (holds.backend, holds.status) == ("default", TaskResultStatus.RUNNING)
        assert set(workers()) == {"default", "other"}
        assert await holds.task.get_backend().acancel(holds.id)
    assert workers() == {}


async def test_a_backend_finds_what_another_has_taken(settings: Settings) -> None:
    """Results are found by their ids, whichever backend one asks."""
    use(settings)
    one = settings.TASKS["default"]
    settings.TASKS = {"default": one, "other": one}
    async with serve():
        result = await enqueue(tasks.plain, "ribs", alias="other")
        await finished(result)
    found = await tasks.plain.get_backend().aget_result(result.id)
    assert (found.id, found.backend) == (result.id, "other")
    with pytest.raises(TaskResultDoesNotExist):
        await tasks.plain.get_backend().aget_result("0" * 32)
