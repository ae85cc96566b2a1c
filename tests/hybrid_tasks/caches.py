"""Every cache that a project may keep its results in."""

from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from pytest_django import DjangoDbBlocker, Settings

from project.settings import CACHES, next_redis_database
from tests.processes import PATIENCE

DJANGOS = "django.core.cache.backends"
QUICK = {"socket_timeout": PATIENCE}

SHARED = ["ours", "redis", "database", "file"]  # what other processes can read, too
ALL = [*SHARED, "locmem"]


def shared_cache(broker_url: str) -> dict[str, dict[str, Any]]:
    """Return CACHES as workers of the project have it that are told of this broker."""
    location = next_redis_database(broker_url)
    return {"default": {**CACHES["default"], "LOCATION": location, "OPTIONS": QUICK}}


def use_cache(
    kind: str, request: pytest.FixtureRequest, settings: Settings, directory: Path
) -> None:
    """Let the default cache be of that kind, and empty."""
    settings.CACHES = {"default": settings_of(kind, request, directory)}
    if kind == "database":
        blocker: DjangoDbBlocker = request.getfixturevalue("django_db_blocker")
        with blocker.unblock():
            call_command("createcachetable", verbosity=0)


def settings_of(kind: str, request: pytest.FixtureRequest, directory: Path) -> dict[str, Any]:
    if kind == "ours":
        return {
            "BACKEND": "hybrid_tasks.caches.RedisCache",
            "LOCATION": next_redis_database(request.getfixturevalue("broker_url")),
            "OPTIONS": QUICK,
        }
    if kind == "redis":
        return {
            "BACKEND": f"{DJANGOS}.redis.RedisCache",
            "LOCATION": next_redis_database(request.getfixturevalue("broker_url")),
            "OPTIONS": QUICK,
        }
    if kind == "database":
        return {"BACKEND": f"{DJANGOS}.db.DatabaseCache", "LOCATION": "results"}
    if kind == "file":
        return {"BACKEND": f"{DJANGOS}.filebased.FileBasedCache", "LOCATION": str(directory)}
    if kind == "dummy":
        return {"BACKEND": f"{DJANGOS}.dummy.DummyCache"}
    return {"BACKEND": f"{DJANGOS}.locmem.LocMemCache", "LOCATION": str(directory)}
