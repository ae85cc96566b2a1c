"""Beat's scheduler: django-celery-beat's, with a sign of life, and each slot sent once."""

import logging
from datetime import datetime
from pathlib import Path
from typing import Any

from celery.schedules import crontab
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils.module_loading import import_string
from django_celery_beat.models import PeriodicTask
from django_celery_beat.schedulers import DatabaseScheduler

from hybrid_tasks.tasks import Task

logger = logging.getLogger(__name__)


class HeartbeatScheduler(DatabaseScheduler):
    """Touches BEAT_HEARTBEAT_FILE at every tick, for beat answers no ping.

    A crontab's slot is the first time at which it was due after its last run. Whoever sends it has
    inserted its row, so that two beats, or one that was killed and has forgotten, send it once. A
    slot that was missed is sent as soon as a beat is back, however late; of several missed slots
    of one schedule only the first, for the jobs make up for the others.
    """

    def tick(self, *args: object, **kwargs: object) -> float:
        path = Path(settings.BEAT_HEARTBEAT_FILE)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        return super().tick(*args, **kwargs)

    def enabled_models_qs(self) -> "QuerySet[PeriodicTask]":
        """Return all that are enabled: the base class leaves out crontabs of other hours.

        What it leaves out is not caught up when beat was down for more than two hours.
        """
        return self.Model.objects.enabled()

    def apply_async(
        self, entry: Any, producer: Any = None, advance: bool = True, **kwargs: Any
    ) -> Any:
        """Send what is due, unless its slot was sent. Raises what the database or broker raise."""
        if not isinstance(entry.schedule, crontab):
            return super().apply_async(entry, producer=producer, advance=advance, **kwargs)
        from reports.models import SentSlot  # beat imports this module before the apps are loaded

        due = due_after(entry.schedule, entry.last_run_at)
        try:
            with transaction.atomic():
                SentSlot.objects.create(schedule=entry.name, due=due)
                if task := durable_task(entry.task):
                    # In the slot's transaction: neither row is there without the other.
                    return task.enqueue(*entry.args, **entry.kwargs)
                return super().apply_async(entry, producer=producer, advance=advance, **kwargs)
        except IntegrityError:
            logger.warning("%s was sent for %s already: not again", entry.name, due)
            return None
        finally:
            self._tasks_since_sync += 1
            if self.should_sync():
                self._do_sync()


def due_after(schedule: crontab, moment: datetime) -> datetime:
    """Return the first time after `moment` at which a crontab is due."""
    began, wait, _ = schedule.remaining_delta(schedule.maybe_make_aware(moment))
    due: datetime = began + wait
    return due


def durable_task(path: str) -> Task | None:
    """Return the durable task of this path; None if it is another kind of task, or none."""
    try:
        found = import_string(path)
    except ImportError:
        return None
    return found if isinstance(found, Task) and found.durable else None
