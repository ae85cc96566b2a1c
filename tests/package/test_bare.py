"""Installed without extras: the event loop's backend works, and what is missing is named."""

import json
from pathlib import Path

import pytest

from tests.package.conftest import Environment, Shop

ABSENT = ("celery", "kombu", "redis", "hiredis")
# What only they need who have configured it.
OF_EXTRAS = (
    "hybrid_tasks.celery",
    "hybrid_tasks.backends.celery",
    "hybrid_tasks.doctor.broker",
    "hybrid_tasks.relay.task",
)
ALL_WELL = [["SUCCESSFUL", 2], ["SUCCESSFUL", 4], ["SUCCESSFUL", 0]]

IMPORT_ALL = f"""
import pkgutil, django, importlib
django.setup()
import hybrid_tasks
for module in pkgutil.walk_packages(hybrid_tasks.__path__, "hybrid_tasks.", onerror=print):
    if not module.name.startswith({(*OF_EXTRAS, "hybrid_tasks.caches")!r}):
        importlib.import_module(module.name)
        print(module.name)
"""


def run(shop: Shop, how: str, argument: str = "", fails: bool = False) -> str:
    """Run a function of shop.running; return the last line that it wrote."""
    env = {"DJANGO_SETTINGS_MODULE": "shop.settings"}
    # The outbox's thread keeps its connection for as long as the process may need it.
    warnings = ("-W", "error", "-W", "ignore::ResourceWarning")
    command = ("python", *warnings, "-m", "shop.running", how, argument)
    lines = shop.environment.run(*command, cwd=shop.directory, env=env, fails=fails).splitlines()
    return lines[-1] if lines else ""


@pytest.fixture(scope="module")
def migrated(shop: Shop) -> Shop:
    shop.manage("migrate")
    return shop


def test_neither_celery_nor_redis_is_installed(bare: Environment) -> None:
    assert (bare.packages / "hybrid_tasks").is_dir()
    assert not [name for name in ABSENT if (bare.packages / name).exists()]


def test_all_that_is_no_extra_can_be_imported(shop: Shop) -> None:
    imported = shop.manage("shell", "--no-imports", "-c", IMPORT_ALL).split()
    assert {"hybrid_tasks.testing", "hybrid_tasks.admin.outbox"} <= set(imported)


def test_the_checks_say_only_what_this_project_lacks(shop: Shop) -> None:
    """A cache that processes share, and Lifespan."""
    told = shop.manage("check")
    assert "hybrid_tasks.W001" in told
    assert "hybrid_tasks.W003" in told
    assert "identified 2 issues " in told


def test_the_table_is_made(migrated: Shop) -> None:
    assert "[X] 0001_outbox" in migrated.manage("showmigrations", "hybrid_tasks")
    assert "No changes detected" in migrated.manage("makemigrations", "--check", "--dry-run")


@pytest.mark.parametrize("how", ["in_sync_code", "on_a_loop"])
def test_ordinary_and_durable_tasks_run(how: str, migrated: Shop) -> None:
    assert json.loads(run(migrated, how)) == ALL_WELL


def test_a_durable_task_survives_kill_9(migrated: Shop, tmp_path: Path) -> None:
    notes = str(tmp_path / "notes")
    run(migrated, "killed", notes, fails=True)
    assert json.loads(run(migrated, "after_it", notes)) == ["begun", "begun"]


def test_the_doctor_runs(migrated: Shop) -> None:
    told = migrated.manage("doctor")
    assert "task by 'default' (loop)  ok" in told
    assert " 0 bad" in told


def test_the_relay_command_runs(migrated: Shop) -> None:
    assert migrated.manage("relay_outbox", "--once", "--skip-checks") == ""


def test_the_admins_files_are_found(shop: Shop) -> None:
    found = shop.manage("findstatic", "hybrid_tasks/outbox.css", "--first")
    assert str(shop.environment.packages) in found
    code = (
        "from django.template.loader import get_template;"
        " print(get_template('hybrid_tasks/outbox_change_list.html').origin)"
    )
    assert str(shop.environment.packages) in shop.manage("shell", "--no-imports", "-c", code)


@pytest.mark.parametrize(
    ("setting", "extra"),
    [
        (
            'TASKS["celery"] = {"BACKEND": "hybrid_tasks.backends.celery.CeleryBackend"}',
            "CeleryBackend needs a package that cannot be imported (No module named 'celery');"
            " install it: pip install 'hybrid-tasks[celery]'",
        ),
        (
            'CACHES["default"] = {"BACKEND": "hybrid_tasks.caches.RedisCache", "LOCATION":'
            ' "redis://127.0.0.1:1/0"}',
            "RedisCache needs a package that cannot be imported (No module named 'redis');"
            " install it: pip install 'hybrid-tasks[redis]'",
        ),
    ],
    ids=["CeleryBackend", "RedisCache"],
)
def test_what_is_configured_but_not_installed_is_named(
    setting: str, extra: str, shop: Shop
) -> None:
    name = shop.settings("wanting", setting)
    told = shop.manage("check", settings=name, fails=True)
    assert told.splitlines()[-1].endswith(extra)
