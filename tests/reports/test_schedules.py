"""The default schedules, and beat's scheduler."""

import io
from pathlib import Path
from uuid import uuid4

import pytest
from celery import Celery
from django.core.management import call_command
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask
from pytest_django import Settings

from hybrid_tasks.relay import log
from project.celery import app
from reports.scheduler import HeartbeatScheduler
from reports.schedules import SCHEDULES
from tests.processes import PATIENCE


def sync_schedules() -> str:
    output = io.StringIO()
    call_command("sync_schedules", stdout=output)
    return output.getvalue()


@pytest.mark.django_db
def test_creates_what_is_missing_once() -> None:
    names = [schedule.name for schedule in SCHEDULES]
    assert sync_schedules().splitlines() == [f"{name}: created" for name in names]
    assert sync_schedules().splitlines() == [f"{name}: exists, left as it is" for name in names]
    assert PeriodicTask.objects.filter(enabled=True).count() == len(names)


@pytest.mark.django_db
def test_the_nightly_cleanup_runs_at_three() -> None:
    sync_schedules()
    task = PeriodicTask.objects.get(task="reports.tasks.nightly_cleanup")
    crontab = task.crontab
    assert (crontab.hour, crontab.minute, str(crontab.timezone)) == ("3", "0", "UTC")


@pytest.mark.django_db
def test_the_relay_runs_every_few_seconds_and_does_not_pile_up() -> None:
    sync_schedules()
    task = PeriodicTask.objects.get(task=log.NAME)
    assert (task.interval.every, task.interval.period) == (3, IntervalSchedule.SECONDS)
    assert task.expire_seconds == 60
    assert task.task in app.tasks


@pytest.mark.django_db
def test_the_relay_overtakes_a_long_queue(broker_url: str) -> None:
    """Behind more jobs than workers do in a minute each of its runs expired."""
    sync_schedules()
    relay = PeriodicTask.objects.get(task=log.NAME)
    with (
        Celery("beside", broker=broker_url) as beside,
        beside.connection_for_write() as connection,
    ):
        queue = connection.SimpleQueue(f"relay-{uuid4().hex}")
        usual = app.conf.task_default_priority
        for number in range(3):
            queue.put(number, priority=usual)
        queue.put("relay", priority=usual if relay.priority is None else relay.priority)
        first = queue.get(timeout=PATIENCE)
    assert first.payload == "relay"


@pytest.mark.django_db
def test_never_overwrites_what_an_admin_edited() -> None:
    sync_schedules()
    hourly = IntervalSchedule.objects.create(every=1, period=IntervalSchedule.HOURS)
    PeriodicTask.objects.filter(task="reports.tasks.nightly_cleanup").update(
        name="Tidy up", crontab=None, interval=hourly, enabled=False, description="ours"
    )
    sync_schedules()
    task = PeriodicTask.objects.get(task="reports.tasks.nightly_cleanup")
    assert (task.name, task.interval, task.crontab) == ("Tidy up", hourly, None)
    assert (task.enabled, task.description) == (False, "ours")


@pytest.mark.django_db
def test_shares_a_crontab_that_is_there_even_twice() -> None:
    for _ in range(2):
        CrontabSchedule.objects.create(minute="0", hour="3", timezone="UTC")
    sync_schedules()
    assert CrontabSchedule.objects.filter(minute="0", hour="3").count() == 2


def test_every_schedule_names_a_task_that_workers_know() -> None:
    app.loader.import_default_modules()
    assert {schedule.task for schedule in SCHEDULES} <= set(app.tasks)


@pytest.mark.django_db(transaction=True)
def test_each_tick_of_beat_is_a_sign_of_life(tmp_path: Path, settings: Settings) -> None:
    heartbeat = tmp_path / "made" / "beat.heartbeat"
    settings.BEAT_HEARTBEAT_FILE = heartbeat
    HeartbeatScheduler(app=app).tick()
    assert heartbeat.exists()
