"""The scheduled jobs."""

from collections.abc import Mapping
from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone

from project.celery import app
from reports.tasks import nightly_cleanup


@pytest.mark.django_db
def test_nightly_cleanup_removes_expired_sessions_only() -> None:
    now = timezone.now()
    for number in range(3):
        Session.objects.create(session_key=f"old{number}", expire_date=now - timedelta(days=1))
    Session.objects.create(session_key="current", expire_date=now + timedelta(days=1))

    assert nightly_cleanup.call()["expired_sessions"] == 3
    assert nightly_cleanup.call()["expired_sessions"] == 0
    assert list(Session.objects.values_list("session_key", flat=True)) == ["current"]


def test_celery_is_set_as_the_design_demands() -> None:
    """Each of these was measured; docs and settings say what happens without it."""
    app.loader.import_default_modules()
    assert app.conf.task_ignore_result is True
    assert app.conf.task_publish_retry_policy == {"max_retries": 0}
    options: Mapping[str, object] = app.conf.broker_transport_options
    assert options["max_retries"] == 0
    assert options["socket_timeout"] == options["socket_connect_timeout"] == 1
    assert app.conf.accept_content == ["json"]
    assert app.conf.timezone == "UTC"
    assert app.conf.beat_sync_every == 1
    assert app.tasks["reports.tasks.nightly_cleanup"].acks_late is True
