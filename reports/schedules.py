"""The schedules that the project starts out with; from then on they belong to the admin."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Model, Q
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask


@dataclass(frozen=True)
class Schedule:
    """One periodic task.

    Attributes:
        when: a Crontab or an Every.
        priority: that of its messages, of which Redis gives 0 out first; by default the usual one.
    """

    name: str
    task: str
    when: "Crontab | Every"
    description: str
    priority: int | None = None


@dataclass(frozen=True)
class Crontab:
    """A time as cron's five fields say it, in UTC."""

    fields: str

    def options(self) -> dict[str, Any]:
        minute, hour, day_of_month, month_of_year, day_of_week = self.fields.split()
        crontab = stored(
            CrontabSchedule,
            minute=minute,
            hour=hour,
            day_of_month=day_of_month,
            month_of_year=month_of_year,
            day_of_week=day_of_week,
            timezone="UTC",
        )
        return {"crontab": crontab}


@dataclass(frozen=True)
class Every:
    """An interval.

    Attributes:
        seconds: of the interval.
        expires: seconds after which a run that no worker has begun is dropped: longer than a queue
            may be, and short enough that runs do not pile up while all workers are away.
    """

    seconds: int
    expires: int = 60

    def options(self) -> dict[str, Any]:
        interval = stored(IntervalSchedule, every=self.seconds, period=IntervalSchedule.SECONDS)
        return {"interval": interval, "expire_seconds": self.expires}


def stored(model: type[Model], **fields: Any) -> Model:
    """Return the row with these fields, which is made if there is none.

    Not get_or_create: these tables have no unique constraint and may hold the same row twice.
    """
    rows = model._default_manager
    return rows.filter(**fields).first() or rows.create(**fields)


SCHEDULES = [
    Schedule(
        name="Nightly cleanup",
        task="reports.tasks.nightly_cleanup",
        when=Crontab("0 3 * * *"),
        description="Removes what is no longer needed, at 03:00 UTC. Safe to run at any time.",
    ),
    Schedule(
        name="Customer reports",
        task="reports.tasks.send_customer_reports",
        when=Crontab("0 5 1 * *"),
        description="Sends the reports of the month before, on the first at 05:00 UTC."
        " Safe to run at any time: nobody gets a second mail.",
    ),
    Schedule(
        name="Staff digest",
        task="reports.tasks.send_staff_digest",
        when=Crontab("0 6 * * 1"),
        description="Mails the staff the week that was, on Mondays at 06:00 UTC.",
    ),
    Schedule(
        name="Outbox relay",
        task="hybrid_tasks.relay_outbox",
        when=Every(3),
        description="Sends on tasks whose time has come or whose process has died.",
        priority=0,  # behind a long queue it would expire, and nobody would be rescued
    ),
]


def create_missing(schedule: Schedule) -> bool:
    """Create the periodic task unless one with its name or its task exists; return whether it did.

    An existing one is left as it is, so renaming, moving or disabling it in the admin lasts.
    """
    if PeriodicTask.objects.filter(Q(name=schedule.name) | Q(task=schedule.task)).exists():
        return False
    _, created = PeriodicTask.objects.get_or_create(
        name=schedule.name,
        defaults={
            "task": schedule.task,
            "description": schedule.description,
            "priority": schedule.priority,
            **schedule.when.options(),
        },
    )
    return created
