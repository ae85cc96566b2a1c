"""Installed with extras: a real worker runs the tasks, and a client that is missing is named."""

import json
from pathlib import Path

import pytest

from tests.package.conftest import Shop
from tests.processes import Process

CELERY = """
TASKS = {
    "default": {
        "BACKEND": "hybrid_tasks.backends.celery.CeleryBackend",
        "OPTIONS": {"app": "shop.celery.app"},
    }
}
"""
REDIS = """
import os

CACHES = {
    "default": {
        "BACKEND": "hybrid_tasks.caches.RedisCache",
        "LOCATION": os.environ.get("CACHE_URL", "redis://127.0.0.1:1/1"),
        "KEY_PREFIX": "shop",
    }
}
"""


@pytest.fixture(scope="module")
def shop(full_shop: Shop) -> Shop:
    full_shop.settings("both", CELERY + REDIS)
    return full_shop


def test_the_checks_are_silent(shop: Shop) -> None:
    assert "no issues" in shop.manage("check", settings="both")


def test_a_worker_runs_the_tasks(shop: Shop, broker_url: str, tmp_path: Path) -> None:
    shop.manage("migrate", settings="both")
    env = {
        "DJANGO_SETTINGS_MODULE": "shop.both",
        "BROKER_URL": broker_url.removesuffix("0") + "14",
        "CACHE_URL": broker_url.removesuffix("0") + "15",
        "PYTHONPATH": str(shop.directory),
    }
    command = [
        str(shop.environment.bin / "celery"),
        "-A",
        "shop",
        "worker",
        "--loglevel",
        "INFO",
        "--concurrency",
        "1",
    ]
    with Process(command, env, tmp_path / "worker.log") as worker:
        worker.wait_for(" ready.")
        ran = shop.environment.run(
            *("python", "-m", "shop.running", "in_sync_code"), cwd=shop.directory, env=env
        )
    told = json.loads(ran.splitlines()[-1])
    assert told == [["SUCCESSFUL", 2], ["SUCCESSFUL", 4], ["SUCCESSFUL", 0]]


def test_the_client_of_a_broker_that_is_not_installed_is_named(celery_shop: Shop) -> None:
    celery_shop.settings("celery_only", CELERY)
    told = celery_shop.manage("check", settings="celery_only", fails=True)
    assert "E019" in told
    assert "pip install 'hybrid-tasks[redis]'" in told
