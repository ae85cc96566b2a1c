"""The Celery backend in the place of Django's own two, under their names."""

import asyncio
import threading
from collections import defaultdict
from typing import Any

from celery import Celery
from celery.contrib.testing.worker import start_worker
from celery.signals import task_prerun
from django.core.cache import caches
from django.tasks.signals import task_finished

from hybrid_tasks.backends.celery import CeleryBackend
from hybrid_tasks.results.recorder import recorder
from hybrid_tasks.results.task_result import TaskResult

PATIENCE = 60.0


def application(name: str, database: int) -> Celery:
    """Return an application whose broker's queue nobody else serves."""
    app = Celery(name, set_as_current=False)
    app.config_from_object("django.conf:settings", namespace="CELERY")
    app.conf.broker_url = app.conf.broker_url.removesuffix("/0") + f"/{database}"
    return app


unserved = application("unserved", 2)
served = application("served", 3)

results: list[TaskResult] = []  # of the backend that nobody serves, in whatever thread
ended: defaultdict[str, threading.Event] = defaultdict(threading.Event)
enqueuing = threading.Lock()


class DummyBackend(CeleryBackend):
    """Keeps what is enqueued waiting, in a queue without a worker."""

    app = unserved  # type: ignore[assignment]

    def accepted(self, result: TaskResult) -> None:
        super().accepted(result)
        self.results.append(result)

    @property
    def results(self) -> list[TaskResult]:
        return results

    def clear(self) -> None:
        """Forget all tasks."""
        results.clear()
        assert recorder().flush(PATIENCE)
        caches[self.settings.result_cache].clear()


class ImmediateBackend(CeleryBackend):
    """Returns when the task has ended in a worker, and all has been said of it.

    The worker is a real one, in a thread of this process, where tests hear what it logs.
    """

    app = served  # type: ignore[assignment]

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        with enqueuing:
            result = super().enqueue(task, args, kwargs)
        assert ended[result.id].wait(PATIENCE), result
        result.refresh()
        return result

    async def aenqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        return await asyncio.to_thread(self.enqueue, task, args, kwargs)


@task_prerun.connect
def wait_for_the_caller(**_: Any) -> None:
    """Begin when it has been said that the task is enqueued."""
    with enqueuing:
        pass


def note_end(task_result: TaskResult, **_: Any) -> None:
    ended[task_result.id].set()


task_finished.connect(note_end)


def serving() -> Any:
    """Run the worker in the block."""
    return start_worker(served, pool="solo", perform_ping_check=False, loglevel="ERROR")
