"""The event loop's backend in the place of Django's own two, under their names."""

import asyncio
import time
from collections.abc import Coroutine
from contextlib import nullcontext
from typing import Any

from django.core.cache import caches

from hybrid_tasks.backends.eventloop import EventLoopBackend
from hybrid_tasks.loop.worker import LoopWorker
from hybrid_tasks.results.recorder import recorder
from hybrid_tasks.results.task_result import TaskResult
from hybrid_tasks.runtime import current

PATIENCE = 60.0
PAUSE = 0.001


class DummyBackend(EventLoopBackend):
    """Keeps what is enqueued waiting, on a loop of its own."""

    def new_worker(self) -> LoopWorker:
        worker = super().new_worker()
        worker.runner.max_running = 0
        return worker

    @property
    def results(self) -> list[TaskResult]:
        """The results as the worker has them."""
        return list({job.id: job.latest for job in self._worker()._jobs()}.values())

    def clear(self) -> None:
        """Forget all tasks."""
        worker = self._worker()
        on_loop_of(worker, taken_out(worker))
        assert recorder().flush(PATIENCE)
        caches[self.settings.result_cache].clear()


async def taken_out(worker: LoopWorker) -> None:
    worker._take_in()
    worker.runner.withdraw_waiting()


def on_loop_of(worker: LoopWorker, coroutine: Coroutine[Any, Any, None]) -> None:
    assert worker._loop is not None
    asyncio.run_coroutine_threadsafe(coroutine, worker._loop).result(PATIENCE)


class ImmediateBackend(EventLoopBackend):
    """Returns when the task has ended, and all has been said of it."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        result = super().enqueue(task, args, kwargs)
        deadline = current().clock.monotonic() + PATIENCE
        while not self._has_ended(result.id):
            assert current().clock.monotonic() < deadline, result
            time.sleep(PAUSE)
        result.refresh()
        return result

    async def aenqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        result = await super().aenqueue(task, args, kwargs)
        async with asyncio.timeout(PATIENCE):
            while not self._has_ended(result.id):  # noqa: ASYNC110 - on a loop of its own
                await asyncio.sleep(PAUSE)
        await result.arefresh()
        return result

    def _has_ended(self, result_id: str) -> bool:
        return self._worker().find(result_id) is None


def serving() -> Any:
    """Do nothing: the loops start by themselves."""
    return nullcontext()
