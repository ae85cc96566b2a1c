"""RabbitMQ, and workers that are not of this project."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import BIN
from tests.hybrid_tasks.doctor.clinic import Clinic
from tests.rabbitmq import running_rabbitmq

REDIS_CACHE = "hybrid_tasks.caches.RedisCache"


@pytest.fixture(scope="module")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_rabbitmq(tmp_path_factory.mktemp("rabbitmq")) as node:
        yield node.url


def test_all_is_well_with_rabbitmq(clinic: Clinic, rabbitmq: str) -> None:
    cache = {"BACKEND": REDIS_CACHE, "LOCATION": f"{clinic.env['BROKER_URL']}/1"}
    settings: dict[str, Any] = {
        "CACHES": {"default": cache},
        "CELERY_BROKER_URL": rabbitmq,
        "CELERY_BROKER_TRANSPORT_OPTIONS": {"confirm_publish": True},
        "CELERY_TASK_QUEUE_MAX_PRIORITY": 9,
        "CELERY_BROKER_CHANNEL_ERROR_RETRY": True,
    }
    clinic.env["BROKER_URL"] = rabbitmq  # which comes before all settings on Celery's command line
    clinic.work("default", **settings)
    clinic.serve(**settings)
    clinic.relay(**settings)
    report = clinic.doctor("--timeout", "30", **settings)
    assert report.parts("warning", "bad") == [], report.output
    assert report.code == 0
    (broker,) = [line for line in report.lines if line["part"] == "broker of 'celery'"]
    assert "confirms what it is sent" in broker["seen"]
    assert "guest:guest" not in report.output  # no password is shown


def test_no_confirms_on_rabbitmq(clinic: Clinic, rabbitmq: str) -> None:
    settings = {"CELERY_BROKER_URL": rabbitmq, "CELERY_BROKER_TRANSPORT_OPTIONS": {}}
    report = clinic.doctor(**settings)
    report.assert_named("settings", "warning", "does not confirm", "'confirm_publish': True")
    report.assert_named("workers of 'celery'", "bad", "none answers")


def test_a_worker_that_knows_nothing_of_us(clinic: Clinic, tmp_path: Path) -> None:
    (tmp_path / "foreign.py").write_text(
        "from celery import Celery\n"
        f"app = Celery('foreign', broker='{clinic.env['BROKER_URL']}/0')\n"
    )
    command = [str(BIN / "celery"), "--app", "foreign", "--workdir", str(tmp_path), "worker"]
    worker = clinic.start(
        [
            *command,
            "--queues",
            "default",
            "--pool",
            "solo",
            "--hostname",
            "foreign@here",
            "-l",
            "INFO",
        ],
        {"DJANGO_SETTINGS_MODULE": ""},
    )
    worker.wait_for(" ready.")
    report = clinic.doctor()
    report.assert_named("worker foreign@here", "warning", "does not know", "Update hybrid_tasks")
    assert "queue 'default'" in report.parts("ok")
    report.assert_named("task by 'celery'", "bad", "does not know it")
    assert clinic.queued_ids() == []
