"""Beat's scheduler: each slot is sent once, and one that was missed is sent late."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from celery.schedules import crontab
from django.core.management import call_command
from django_celery_beat.models import PeriodicTask
from pytest_django import Settings
from time_machine import travel

from hybrid_tasks.testing import CapturedTasks, capture_tasks
from project.celery import app
from reports.models import SentSlot
from reports.scheduler import HeartbeatScheduler, due_after, durable_task
from reports.tasks import nightly_cleanup

pytestmark = pytest.mark.django_db(transaction=True)

CLEANUP = "Nightly cleanup"


@pytest.fixture
def sent() -> Iterator[CapturedTasks]:
    with capture_tasks() as captured:
        yield captured


@pytest.fixture(autouse=True)
def _noon() -> Iterator[None]:
    """No slot comes while a test runs."""
    with travel(datetime.now(UTC).replace(hour=12)):
        yield


@pytest.fixture(autouse=True)
def _schedules(settings: Settings, tmp_path: Path) -> None:
    """The default schedules but the relay, which is due all the time."""
    settings.BEAT_HEARTBEAT_FILE = tmp_path / "beat.heartbeat"
    call_command("sync_schedules", verbosity=0)
    PeriodicTask.objects.exclude(name=CLEANUP).update(enabled=False)


def last_run(ago: timedelta) -> None:
    """Set the time of the last run without telling beat that the schedule has changed."""
    PeriodicTask.objects.filter(name=CLEANUP).update(last_run_at=datetime.now(UTC) - ago)


def beat() -> HeartbeatScheduler:
    """Return a scheduler that needs no broker: durable tasks go through the outbox."""
    scheduler = HeartbeatScheduler(app=app)
    scheduler.producer = None
    return scheduler


def tick_all(scheduler: HeartbeatScheduler) -> None:
    """Let a scheduler send all that is due."""
    while scheduler.tick() == 0:
        pass


def names(sent: CapturedTasks) -> list[str]:
    return [result.task.module_path for result in sent.enqueued]


def test_two_beats_send_a_slot_once(sent: CapturedTasks, caplog: pytest.LogCaptureFixture) -> None:
    last_run(timedelta(days=1, hours=1))
    first, second = beat(), beat()
    for scheduler in (first, second):
        assert scheduler.schedule  # both know the last run as it was before either has sent
    tick_all(first)
    tick_all(second)
    assert names(sent) == ["reports.tasks.nightly_cleanup"]
    assert SentSlot.objects.count() == 1
    assert "was sent for" in caplog.text


def test_a_beat_that_was_killed_before_it_noted_the_run_does_not_repeat_it(
    sent: CapturedTasks,
) -> None:
    last_run(timedelta(days=1, hours=1))
    before = PeriodicTask.objects.get(name=CLEANUP).last_run_at
    tick_all(beat())
    PeriodicTask.objects.filter(name=CLEANUP).update(last_run_at=before)
    tick_all(beat())
    assert len(sent.enqueued) == 1


@pytest.mark.parametrize("ago", [timedelta(days=1, minutes=1), timedelta(days=9)])
def test_what_was_missed_is_sent_once_whatever_the_hour(
    sent: CapturedTasks, ago: timedelta
) -> None:
    last_run(ago)
    scheduler = beat()
    tick_all(scheduler)
    tick_all(scheduler)
    assert len(sent.enqueued) == 1


def test_what_is_not_due_is_not_sent(sent: CapturedTasks) -> None:
    last_run(timedelta(seconds=0))
    tick_all(beat())
    assert sent.enqueued == []
    assert SentSlot.objects.count() == 0


def test_a_new_schedule_has_missed_nothing(sent: CapturedTasks) -> None:
    tick_all(beat())
    assert sent.enqueued == []


def test_the_slot_and_the_task_are_there_together_or_not_at_all(
    sent: CapturedTasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    last_run(timedelta(days=2))

    def broken(_path: str) -> None:
        raise OSError

    with monkeypatch.context() as patch:
        patch.setattr("reports.scheduler.durable_task", broken)
        tick_all(beat())
    assert SentSlot.objects.count() == 0
    last_run(timedelta(days=2))
    tick_all(beat())
    assert len(sent.enqueued) == SentSlot.objects.count() == 1


def test_the_slot_is_the_first_time_after_the_last_run() -> None:
    schedule = crontab(minute="0", hour="3", app=app)
    assert due_after(schedule, datetime(2026, 11, 20, 3, 0, 1, tzinfo=UTC)) == datetime(
        2026, 11, 21, 3, tzinfo=UTC
    )


def test_which_tasks_are_durable() -> None:
    assert durable_task("reports.tasks.nightly_cleanup") is nightly_cleanup
    assert durable_task("hybrid_tasks.relay_outbox") is None
    assert durable_task("no.such.module") is None
