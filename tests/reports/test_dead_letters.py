"""The staff hear of dead letters when they happen, and not of each by a mail of its own."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import User
from django.core import mail
from django.core.cache import cache
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from hybrid_tasks.models import OutboxTask
from hybrid_tasks.results import states
from hybrid_tasks.signals import task_dead
from hybrid_tasks.testing import CapturedTasks, capture_tasks
from reports import dead_letters
from reports.tasks import nightly_cleanup, tell_of_dead_letters
from tests.meats.smokehouse import Smokehouse
from tests.processes import wait_until

type Bury = Callable[..., None]


@pytest.fixture
def bury(db: None, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks) -> Bury:
    """A function that makes a dead letter and tells of it as the outbox does."""

    def make(path: str = "meats.tasks.notify_partner", result: Any = None) -> None:
        row = OutboxTask.objects.create(
            id=f"{OutboxTask.objects.count():032}",
            task_path=path,
            state=OutboxTask.State.DEAD,
            available_at=timezone.now(),
            message="{}",
        )
        with django_capture_on_commit_callbacks(execute=True):
            told = task_dead.send_robust(OutboxTask, task_id=row.id, task_result=result)
        assert [error for _, error in told if error] == []

    return make


@pytest.fixture
def told(db: None, settings: Settings) -> Iterator[CapturedTasks]:
    settings.DEAD_LETTER_MINUTES = 15
    cache.clear()
    User.objects.create_user("ada", "ada@example.com", is_staff=True)
    with capture_tasks() as tasks:
        yield tasks
    cache.clear()


def test_the_first_is_told_at_once_and_the_next_together_later(
    told: CapturedTasks, bury: Bury
) -> None:
    with time_machine.travel(timezone.now(), tick=False) as clock:
        bury()
        (first,) = told.enqueued
        told.run()
        assert first.task.run_after is None or first.task.run_after <= timezone.now()
        assert "A task has failed for good" in mail.outbox[0].subject
        assert mail.outbox[0].to == ["ada@example.com"]

        clock.shift(timedelta(minutes=5))
        for _ in range(3):
            bury()
        bury("meats.tasks.smoke_order")
        _, second = told.enqueued
        assert second.task.run_after == timezone.now() + timedelta(minutes=15)
        clock.shift(timedelta(minutes=15))
        told.run()
    assert "4 tasks failed for good" in mail.outbox[1].subject
    text = mail.outbox[1].body
    assert "- meats.tasks.notify_partner: 3\n- meats.tasks.smoke_order: 1\n" in text
    assert "5 dead letters wait for a decision" in text
    assert "/admin/hybrid_tasks/outboxtask/" in text


def test_a_mail_that_cannot_be_sent_is_not_told_by_another(told: CapturedTasks, bury: Bury) -> None:
    own = states.make(tell_of_dead_letters, [timezone.now().isoformat()], {}, "celery")
    bury(dead_letters.TELL_TASK, own)
    assert told.enqueued == []
    other = states.make(nightly_cleanup, [], {}, "celery")
    bury("reports.tasks.nightly_cleanup", other)
    assert [result.task.module_path for result in told.enqueued] == [dead_letters.TELL_TASK]


def test_what_is_settled_meanwhile_is_not_told(told: CapturedTasks, bury: Bury) -> None:
    bury()
    OutboxTask.objects.all().delete()
    told.run()
    assert mail.outbox == []


def test_without_the_cache_one_is_told_at_a_time(
    told: CapturedTasks, bury: Bury, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> bool:
        raise ConnectionError("Redis is away")

    monkeypatch.setattr(cache, "add", refuse)
    bury()
    assert len(told.enqueued) == 1
    OutboxTask.objects.create(
        id="waits", task_path=dead_letters.TELL_TASK, available_at=timezone.now(), message="{}"
    )
    bury()
    assert len(told.enqueued) == 1


def test_none_are_told_where_that_is_switched_off(
    told: CapturedTasks, bury: Bury, settings: Settings
) -> None:
    settings.DEAD_LETTER_MINUTES = 0
    bury()
    assert told.enqueued == []


def test_a_partner_that_refuses_is_told_to_the_staff_by_a_worker(tmp_path: Path) -> None:
    smokehouse = Smokehouse(tmp_path, DEAD_LETTER_MINUTES="15")
    try:
        smokehouse.mail.start()
        smokehouse.partner.start()
        smokehouse.partner.answers = [(400, {})]
        make = (
            "from django.contrib.auth.models import User as U;"
            "U.objects.create_superuser('ada', 'staff@example.com', 'x')"
        )
        smokehouse.manage("shell", "--no-imports", "--command", make)
        smokehouse.start_worker()
        smokehouse.start_web()
        visitor = smokehouse.visitor()
        smokehouse.parts.callback(visitor.http.close)
        visitor.order()

        def to_staff() -> list[Any]:
            return [sent for sent in smokehouse.mail.received() if "staff@" in sent["To"]]

        wait_until(to_staff, "the staff are told")
        (sent,) = to_staff()
        assert "meats.tasks.notify_partner: 1" in sent.get_body(("plain",)).get_content()
    finally:
        smokehouse.close()
