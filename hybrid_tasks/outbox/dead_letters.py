"""Tells of tasks that have failed for good."""

import logging
from concurrent.futures import ThreadPoolExecutor

from django.db import connections

from hybrid_tasks.outbox import table
from hybrid_tasks.results.task_result import TaskResult
from hybrid_tasks.runtime import Runtime
from hybrid_tasks.signals import task_dead

logger = logging.getLogger("hybrid_tasks")


class Announcer:
    """Sends `task_dead` from a thread of its own: receivers may block, and enqueue tasks."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="hybrid-tasks-dead")

    def announce(self, task_id: str, result: TaskResult | None) -> None:
        """Tell of a dead letter; `result` is None if this code does not know the task."""
        if self._runtime.threads:
            self._thread.submit(tell_from_thread, task_id, result)
        else:
            tell(task_id, result)


def tell_from_thread(task_id: str, result: TaskResult | None) -> None:
    try:
        tell(task_id, result)
    except Exception:
        logger.exception("Receivers were not told of dead letter %s", task_id)
    finally:
        connections.close_all()


def tell(task_id: str, result: TaskResult | None) -> None:
    path = result.task.module_path if result else "unknown"
    logger.error("Task id=%s path=%s is a dead letter", task_id, path)
    task_dead.send_robust(table.model(), task_id=task_id, task_result=result)
