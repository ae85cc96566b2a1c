"""System checks: each setting that would break a promise is found, with a hint."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.tasks import task_backends
from pytest_django import Settings

import project.urls  # noqa: F401 - checks import it, and its tasks name queues of the project
from hybrid_tasks import checks as checks_module
from hybrid_tasks.checks import check_application, check_database, check_lifespan
from hybrid_tasks.lifespan import Lifespan

# Django 6.1 asks the databases whether they know JSON.
pytestmark = pytest.mark.django_db

LOOP = "hybrid_tasks.backends.eventloop.EventLoopBackend"
CELERY = "hybrid_tasks.backends.celery.CeleryBackend"


def found(
    settings: Settings, loop: dict[str, Any], celery: dict[str, Any] | None = None
) -> set[str]:
    """Return the ids of what the checks say of these OPTIONS."""
    settings.TASKS = {
        "default": {"BACKEND": LOOP, "OPTIONS": loop},
        "celery": {"BACKEND": CELERY, "OPTIONS": celery or {}},
    }
    messages = [message for message in checks.run_checks() if str(message.id).startswith("hybrid")]
    assert all(message.hint for message in messages)
    return {str(message.id).removeprefix("hybrid_tasks.") for message in messages} - {"W001"}


def test_nothing_is_said_of_good_settings(settings: Settings) -> None:
    assert found(settings, {"overflow": "celery", "max_running": 5, "drain_timeout": 0.5}) == set()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"max_runing": 5}, "E001"),
        ({"max_running": 0}, "E002"),
        ({"max_running": "5"}, "E002"),
        ({"max_waiting": -1}, "E002"),
        ({"max_waiting": True}, "E002"),
        ({"drain_timeout": -0.5}, "E002"),
        ({"result_ttl": 0}, "E002"),
        ({"lease": 0.5}, "E002"),
        ({"outbox_timeout": -1}, "E002"),
        ({"max_bytes": 100}, "E002"),
        ({"result_cache": "nowhere"}, "E003"),
        ({"overflow": "nowhere"}, "E005"),
        ({"overflow": "default"}, "E005"),
    ],
)
def test_each_broken_rule_is_found(
    options: dict[str, Any], expected: str, settings: Settings
) -> None:
    assert found(settings, options) == {expected}


def test_results_that_other_processes_cannot_read_are_a_warning(settings: Settings) -> None:
    found(settings, {})
    assert "hybrid_tasks.W001" in {message.id for message in checks.run_checks()}


def test_a_celery_application_that_is_not_there(settings: Settings) -> None:
    assert found(settings, {}, {"app": "project.celery.nothing"}) == {"E004"}


def test_an_option_beside_the_options(settings: Settings) -> None:
    """Django reads three keys, and drops all others without a word."""
    settings.TASKS = {"default": {"BACKEND": LOOP, "overflow": "celery", "QUEUE": "mails"}}
    messages = [one for one in checks.run_checks() if one.id == "hybrid_tasks.W004"]
    assert [str(one.msg) for one in messages] == [
        "TASKS['default'] has the key 'QUEUE', which nobody reads.",
        "TASKS['default'] has the key 'overflow', which nobody reads.",
    ]
    assert all("OPTIONS" in str(one.hint) for one in messages)


@pytest.mark.parametrize("backend", [LOOP, CELERY])
@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"QUEUES": "mails"}, r"QUEUES is 'mails': it must be a list, such as \['mails'\]"),
        ({"OPTIONS": ["lease"]}, r"OPTIONS is \['lease'\]: it must be a dict"),
    ],
)
def test_what_has_another_type(
    backend: str, given: dict[str, Any], told: str, settings: Settings
) -> None:
    """QUEUES = "mails" were five queues of a letter each."""
    settings.TASKS = {"default": {"BACKEND": backend, **given}}
    with pytest.raises(ImproperlyConfigured, match=told):
        list(task_backends.all())


def test_an_overflow_that_lacks_a_queue(settings: Settings) -> None:
    found(settings, {})
    settings.TASKS = {
        "default": {"BACKEND": LOOP, "QUEUES": ["a", "b"], "OPTIONS": {"overflow": "celery"}},
        "celery": {"BACKEND": CELERY, "QUEUES": ["a"]},
    }
    (message,) = [one for one in checks.run_checks() if one.id == "hybrid_tasks.E006"]
    assert "['b']" in message.msg


def test_an_overflow_that_keeps_results_elsewhere(settings: Settings) -> None:
    settings.CACHES = {**settings.CACHES, "other": settings.CACHES["default"]}
    assert found(settings, {"overflow": "celery"}, {"result_cache": "other"}) == {"E009"}


def test_an_app_that_is_not_installed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apps, "is_installed", lambda name: name != "hybrid_tasks")
    assert found(settings, {}) == {"E007"}


def test_times_without_a_zone(settings: Settings) -> None:
    settings.USE_TZ = False
    assert found(settings, {}) == {"E008"}


@pytest.mark.parametrize(
    ("vendor", "databases", "expected"),
    [
        ("microsoft", ["default"], ["hybrid_tasks.E020"]),
        ("oracle", None, ["hybrid_tasks.E020"]),
        ("oracle", ["other"], []),
        ("mysql", None, []),  # the server is asked if Django says that it may be
        ("sqlite", ["default"], []),
        ("postgresql", ["default"], []),
    ],
)
def test_a_database_whose_clock_is_not_known(
    vendor: str, databases: list[str] | None, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections["default"], "vendor", vendor)
    messages = list(check_database(databases))
    assert [message.id for message in messages] == expected
    assert all(vendor in message.msg and message.hint for message in messages)


def test_a_project_without_our_backends_may_have_any_database(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.TASKS = {"default": {"BACKEND": "django.tasks.backends.dummy.DummyBackend"}}
    monkeypatch.setattr(connections["default"], "vendor", "oracle")
    assert list(check_database(["default"])) == []


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("project.asgi.application", set()),
        ("project.asgi.django_application", {"hybrid_tasks.W003"}),
        ("project.asgi.nothing", {"hybrid_tasks.W002"}),
        (None, set()),
    ],
)
def test_an_application_whose_server_would_run_no_tasks(
    path: str | None, expected: set[str], settings: Settings
) -> None:
    settings.ASGI_APPLICATION = path
    messages = checks.run_checks(include_deployment_checks=True)
    assert {one.id for one in messages} & {"hybrid_tasks.W002", "hybrid_tasks.W003"} == expected


class Middleware:
    """An ASGI application around another one."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, *message: Any) -> None:
        await self.app(*message)


async def bare(*_message: Any) -> None:
    """An ASGI application that is a function."""


around = Middleware(Middleware(Lifespan(bare)))
without = Middleware(bare)
circle = Middleware(bare)
circle.app = circle


@pytest.mark.parametrize(
    ("name", "expected"),
    [("around", []), ("without", ["W003"]), ("bare", ["W003"]), ("circle", ["W003"])],
)
def test_an_application_inside_of_others(
    name: str, expected: list[str], settings: Settings
) -> None:
    settings.ASGI_APPLICATION = f"{__name__}.{name}"
    assert [str(one.id)[-4:] for one in check_application()] == expected


def test_an_application_that_cannot_be_imported(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "asgi_that_raises.py").write_text("raise KeyError('SECRET')")
    monkeypatch.syspath_prepend(tmp_path)
    settings.ASGI_APPLICATION = "asgi_that_raises.application"
    (message,) = check_lifespan()
    assert message.id == "hybrid_tasks.W002"
    assert "KeyError('SECRET')" in message.msg


def test_where_django_puts_the_application(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """startproject names it in no setting."""
    del settings.ASGI_APPLICATION
    assert list(check_lifespan()) == []  # tests.settings has no tests.asgi beside it
    package = tmp_path / "newly_started"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "asgi.py").write_text("async def application(*_message): ...")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(
        checks_module, "settings", SimpleNamespace(SETTINGS_MODULE="newly_started.settings")
    )
    (message,) = check_lifespan()
    assert "'newly_started.asgi.application' is not wrapped in Lifespan" in message.msg
