"""Shows in Flower how far a task is, while a worker runs it."""

import logging
from typing import Any

from celery.utils.saferepr import saferepr
from django.tasks import TaskResultStatus

from hybrid_tasks.results.task_result import TaskResult

logger = logging.getLogger("hybrid_tasks")

RUNNING = TaskResultStatus.RUNNING
SHOWN = 1024  # characters


class ProgressTeller:
    """Tells monitors of the "progress" that a task keeps in its metadata, as its result so far.

    With a second `task-started` event: one of our own kind would be a state of its own in Flower,
    where a task that runs could then be neither found among the started nor terminated.
    See https://docs.celeryq.dev/en/stable/userguide/monitoring.html#event-reference.
    """

    def __init__(self, celery_task: Any) -> None:
        self._celery_task = celery_task
        self._told: Any = None
        self._is_off = not celery_task.app.conf.worker_send_task_events

    def tell(self, result: TaskResult) -> None:
        """Tell of the progress if it has changed. A broker that is away is not asked again."""
        progress = result.metadata.get("progress")
        is_news = progress is not None and progress != self._told
        began = result.last_attempted_at
        if self._is_off or not is_news or began is None or result.status != RUNNING:
            return
        self._told = progress
        try:
            self._celery_task.send_event(
                "task-started",
                retry=False,
                timestamp=began.timestamp(),
                result=saferepr(progress, maxlen=SHOWN),
            )
        except Exception as error:  # noqa: BLE001 - each transport has errors of its own
            logger.warning("Task id=%s: its progress cannot be shown: %r", result.id, error)
            self._is_off = True
