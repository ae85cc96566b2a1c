"""Tells of tasks that have failed for good."""

import logging
import os
from concurrent.futures import ThreadPoolExecutor

from django.db import connections

from hybrid_tasks.outbox import table
from hybrid_tasks.results.task_result import TaskResult
from hybrid_tasks.signals import task_dead

logger = logging.getLogger("hybrid_tasks")


class Announcer:
    """Sends `task_dead` from a thread of its own: receivers may block, and enqueue tasks."""

    def __init__(self) -> None:
        self._thread: ThreadPoolExecutor | None = None
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        self._thread = None

    def announce(self, task_id: str, result: TaskResult | None) -> None:
        """Tell of a dead letter; `result` is None if this code does not know the task."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="hybrid-tasks-dead")
        self._thread.submit(tell, task_id, result)


def tell(task_id: str, result: TaskResult | None) -> None:
    path = result.task.module_path if result else "unknown"
    logger.error("Task id=%s path=%s is a dead letter", task_id, path)
    try:
        task_dead.send_robust(table.model(), task_id=task_id, task_result=result)
    finally:
        connections.close_all()


announcer = Announcer()
