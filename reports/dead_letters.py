"""The mail that tells the staff, when it happens, that tasks have failed for good.

The first dead letter is told at once, those of the next DEAD_LETTER_MINUTES together at their end.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.core.mail import EmailMessage
from django.db.models import Count
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

from hybrid_tasks.models import OutboxTask
from hybrid_tasks.tasks import TaskResult
from reports.runs.finishing import staff_addresses

logger = logging.getLogger(__name__)

TELL_TASK = "reports.tasks.tell_of_dead_letters"
# A row was committed before its signal came, perhaps by a busy process.
EARLIER = timedelta(minutes=1)

type Enqueue = Callable[[datetime, datetime], Any]  # (tell of those since, run at)


def notice(result: TaskResult | None, enqueue: Enqueue) -> None:
    """Have the staff told of a dead letter, if nobody is about to tell them anyway.

    One that was to tell them is only logged: its mail would hardly fare better.
    """
    window = timedelta(minutes=settings.DEAD_LETTER_MINUTES)
    if not window:
        return
    if result is not None and result.task.module_path == TELL_TASK:
        logger.error(
            "The staff could not be told of dead letters: task %s is one itself", result.id
        )
        return
    now = timezone.now()
    if is_first("told", window):
        enqueue(now - EARLIER, now)
    elif is_first("waiting", window):
        enqueue(now - EARLIER, now + window)


def is_first(name: str, window: timedelta) -> bool:
    """Return whether this is the first to ask in a window, of all processes."""
    try:
        return cache.add(f"dead_letters.{name}", 1, window.total_seconds())
    except Exception:
        logger.warning("It is not known whether the staff were told", exc_info=True)
        return not OutboxTask.objects.alive().filter(task_path=TELL_TASK).exists()


def tell(since: datetime) -> int:
    """Mail the staff the dead letters since then, counted by task; return how many there are.

    Raises OSError.
    """
    cache.delete("dead_letters.waiting")
    to = staff_addresses()
    dead = OutboxTask.objects.dead().exclude(task_path=TELL_TASK)
    fresh = dead.filter(available_at__gte=since).order_by().values_list("task_path")
    tasks = list(fresh.annotate(count=Count("pk")).order_by("-count", "task_path"))
    count = sum(number for _, number in tasks)
    if not to:
        logger.warning("No staff has an email address: nobody is told of %d dead letters", count)
    elif count:
        text = render_to_string(
            "reports/mail/dead_letters.txt",
            {
                "tasks": tasks,
                "since": since,
                "all": dead.count(),
                "url": settings.SITE_URL + reverse("admin:hybrid_tasks_outboxtask_changelist"),
            },
        )
        subject = "A task has failed for good" if count == 1 else f"{count} tasks failed for good"
        EmailMessage(f"The smokehouse: {subject}", text, to=to).send()
    return count
