"""The schedules that the project starts out with; from then on they belong to the admin."""

from dataclasses import dataclass

from django.db.models import Q
from django_celery_beat.models import CrontabSchedule, PeriodicTask


@dataclass(frozen=True)
class Schedule:
    """One periodic task: `crontab` has the five fields of cron, in UTC."""

    name: str
    task: str
    crontab: str
    description: str


SCHEDULES = [
    Schedule(
        name="Nightly cleanup",
        task="reports.tasks.nightly_cleanup",
        crontab="0 3 * * *",
        description="Removes expired sessions, at 03:00 UTC. Safe to run at any time.",
    ),
]


def create_missing(schedule: Schedule) -> bool:
    """Create the periodic task unless one with its name or its task exists; return whether it did.

    An existing one is left as it is, so renaming, moving or disabling it in the admin lasts.
    """
    if PeriodicTask.objects.filter(Q(name=schedule.name) | Q(task=schedule.task)).exists():
        return False
    minute, hour, day_of_month, month_of_year, day_of_week = schedule.crontab.split()
    fields = {
        "minute": minute,
        "hour": hour,
        "day_of_month": day_of_month,
        "month_of_year": month_of_year,
        "day_of_week": day_of_week,
        "timezone": "UTC",
    }
    # Not get_or_create: the table has no unique constraint and may hold the same crontab twice.
    crontab = CrontabSchedule.objects.filter(**fields).first() or CrontabSchedule.objects.create(
        **fields
    )
    _, created = PeriodicTask.objects.get_or_create(
        name=schedule.name,
        defaults={
            "task": schedule.task,
            "crontab": crontab,
            "description": schedule.description,
        },
    )
    return created
