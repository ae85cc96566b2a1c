"""The settings that docs/brokers.md tells to copy: with them, the checks find nothing."""

import pytest
from celery import Celery

from hybrid_tasks.celery.checks import check_celery_settings
from hybrid_tasks.celery.connecting import driver_of
from tests.documented import TITLES, broker_settings


@pytest.mark.parametrize("title", TITLES.values(), ids=TITLES)
def test_checks_have_nothing_to_say(title: str) -> None:
    app = Celery("documented", set_as_current=False)
    app.config_from_object(broker_settings(title), namespace="CELERY")
    assert driver_of(app) in ("redis", "amqp")
    assert list(check_celery_settings("celery", app, ["default"])) == []
