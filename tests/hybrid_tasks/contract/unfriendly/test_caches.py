"""Results in every cache that a project may have, and in none."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import caches
from django.tasks import TaskResultStatus
from django.tasks.exceptions import TaskResultDoesNotExist
from pytest_django import Settings

from hybrid_tasks.backends.eventloop import serve
from hybrid_tasks.finding import hybrid_backend
from hybrid_tasks.results.recorder import recorder
from hybrid_tasks.runtime import Runtime, use
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.caches import ALL, SHARED, use_cache
from tests.hybrid_tasks.contract.unfriendly.surroundings import all_goes_well
from tests.hybrid_tasks.contract.waiting import finished, refreshed_until, until
from tests.hybrid_tasks.outbox.on_loop import settled
from tests.hybrid_tasks.outbox.rows import State
from tests.processes import PATIENCE

pytestmark = pytest.mark.usefixtures("only_loop")


@pytest.fixture
def cache(request: pytest.FixtureRequest, settings: Settings, tmp_path: Path) -> Iterator[str]:
    use_cache(request.param, request, settings, tmp_path)
    yield request.param
    caches["default"].clear()


async def elsewhere(task_id: str) -> Any:
    """Look a task up as another process would."""
    backend: Any = hybrid_backend("default")
    with use(Runtime()):
        return await backend.aget_result(task_id)


@pytest.mark.parametrize("cache", ALL, indirect=True)
async def test_every_cache_will_do(cache: str) -> None:
    async with serve():
        await all_goes_well()
    assert set((await settled()).values()) == {State.DEAD}


@pytest.mark.parametrize("cache", SHARED, indirect=True)
async def test_other_processes_find_the_end(cache: str) -> None:
    async with serve():
        result: Any = await tasks.succeed_at.aenqueue(2)
        await finished(result)
        assert await asyncio.to_thread(recorder().flush, PATIENCE)
        found = await elsewhere(result.id)
    assert (found.status, found.return_value, found.attempts) == (
        TaskResultStatus.SUCCESSFUL,
        2,
        2,
    )


@pytest.mark.parametrize("cache", ["dummy"], indirect=True)
async def test_without_a_cache_tasks_run_and_durable_ones_are_found(cache: str) -> None:
    """What is known of them is what their process holds, and their rows."""
    async with serve():
        runs: Any = await tasks.hang.using(durable=True).aenqueue()
        await refreshed_until(runs, lambda it: it.attempts, "it runs")
        assert (await elsewhere(runs.id)).status == TaskResultStatus.RUNNING
        assert await runs.task.get_backend().acancel(runs.id)
        fails: Any = await tasks.fail.using(durable=True).aenqueue("bad")
        await until_settled({fails.id: State.DEAD})
        assert (await elsewhere(fails.id)).status == TaskResultStatus.FAILED
        await fails.arefresh()
        assert "ValueError: bad" in fails.errors[0].traceback
        ends: Any = await tasks.plain.aenqueue("ribs")
        backend = ends.task.get_backend()
        await until(lambda: not backend.runs_here(ends.id), "it has ended")
        assert await asyncio.to_thread(recorder().flush, PATIENCE)
        with pytest.raises(TaskResultDoesNotExist):
            await ends.arefresh()


async def until_settled(rows: dict[str, str]) -> None:
    async with asyncio.timeout(PATIENCE):
        while await settled() != rows:  # noqa: ASYNC110 - a thread writes them
            await asyncio.sleep(0.01)
