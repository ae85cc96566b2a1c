"""The helpers for users' own tests."""

import asyncio
from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.db import transaction
from django.tasks import TaskResultStatus
from django.tasks.exceptions import TaskResultDoesNotExist
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks

from hybrid_tasks.testing import capture_tasks, run_tasks
from meats.tasks import smoke
from reports.tasks import nightly_cleanup


def test_nothing_runs_until_told_to() -> None:
    with capture_tasks() as captured:
        result = smoke.enqueue(["tofu"])
        assert result.status == TaskResultStatus.READY
        captured.run()
        result.refresh()
        assert result.return_value == ["tofu"]


def test_all_has_run_after_the_block() -> None:
    with run_tasks() as tasks:
        smoke.enqueue(["tofu"])
        smoke.enqueue(["ribs"], flavor="Gold Bond")
    assert [result.return_value for result in tasks.results] == [["tofu"], ["ribs"]]


async def test_async_code_runs_them_on_its_own_loop() -> None:
    with capture_tasks() as captured:
        await smoke.aenqueue(["tofu"])
        (result,) = await captured.arun()
    assert result.status == TaskResultStatus.SUCCESSFUL


def test_says_what_was_enqueued_instead() -> None:
    with capture_tasks() as captured:
        smoke.enqueue(["tofu"], flavor="salt")
        captured.assert_enqueued(smoke, ["tofu"], flavor="salt")
        with pytest.raises(AssertionError, match=r"Enqueued were: meats.tasks.smoke\(\['tofu'\]"):
            captured.assert_enqueued(smoke, ["ribs"])
        with pytest.raises(TaskResultDoesNotExist):
            smoke.get_result("unknown")


@pytest.mark.django_db
def test_says_why_nothing_was_enqueued_in_a_transaction_of_the_test() -> None:
    with capture_tasks() as captured:
        with pytest.raises(AssertionError, match=r"Enqueued were: none$"):
            captured.assert_enqueued(smoke, ["tofu"])
        smoke.enqueue(["tofu"])
        with pytest.raises(AssertionError, match=r"none; but .* captureOnCommitCallbacks"):
            captured.assert_enqueued(smoke, ["tofu"])


@pytest.mark.django_db
def test_a_task_with_the_orm_sees_the_tests_transaction(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    Session.objects.create(session_key="old", expire_date=timezone.now() - timedelta(days=1))
    with run_tasks() as tasks, django_capture_on_commit_callbacks(execute=True):
        nightly_cleanup.enqueue()
    assert tasks.results[0].return_value["expired_sessions"] == 1


@pytest.mark.django_db(transaction=True)
def test_a_rollback_leaves_nothing() -> None:
    with capture_tasks() as captured:
        with transaction.atomic():
            smoke.enqueue(["tofu"])
            transaction.set_rollback(True)
        with transaction.atomic():
            smoke.enqueue(["ribs"])
            assert captured.enqueued == []
    assert [result.args for result in captured.enqueued] == [[["ribs"]]]


def test_cancelled_is_not_run() -> None:
    with capture_tasks() as captured:
        result = smoke.enqueue(["tofu"])
        assert smoke.get_backend().cancel(result.id)
        assert not asyncio.run(smoke.get_backend().acancel(result.id))
        (ended,) = captured.run()
    assert ended.status == TaskResultStatus.FAILED
    assert ended.errors[0].exception_class_path == "hybrid_tasks.exceptions.TaskCancelled"


async def test_durable_tasks_need_no_table() -> None:
    """No test database here: a row would raise."""
    later = smoke.using(durable=True, run_after=timezone.now() + timedelta(hours=1))
    with capture_tasks() as captured:
        await smoke.using(durable=True).aenqueue(["tofu"])
        await later.aenqueue(["ribs"])
        results = await captured.arun()
    assert [result.return_value for result in results] == [["tofu"], ["ribs"]]
