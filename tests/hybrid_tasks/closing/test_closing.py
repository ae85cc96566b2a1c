"""Threads give connections back that they do not use, and do without those that have broken."""

import sys
from pathlib import Path
from typing import Any

import dj_database_url
import pytest
from django.core.management import call_command
from django.db import connections
from pytest_django import DjangoDbBlocker, Settings

from hybrid_tasks.results.recorder import recorder
from hybrid_tasks.results.store import ResultStore
from tests.conftest import ROOT
from tests.hybrid_tasks.databases import add_database, routed_to
from tests.hybrid_tasks.outbox.rows import make
from tests.postgres import Postgres, running_postgres
from tests.processes import PATIENCE, Process


def test_a_test_run_can_drop_its_database(postgres: Postgres, tmp_path: Path) -> None:
    """C24: `manage.py test` ended with "being accessed by other users"."""
    command = [sys.executable, "-m", "django", "test", "tests.hybrid_tasks.closing.cases"]
    env = {
        "DJANGO_SETTINGS_MODULE": "tests.hybrid_tasks.closing.settings",
        "PYTHONPATH": str(ROOT),
        "POSTGRES_URL": postgres.url,
        "PYTHONWARNINGS": "default",
    }
    with Process([*command, "--noinput"], env, tmp_path / "log") as run:
        assert run.popen.wait(PATIENCE) == 0, run.output()
    output = run.output()
    assert "Ran 4 tests" in output
    assert "Destroying test database" in output
    assert "being accessed by other users" not in output


class CacheRouter:
    """Sends what is kept in the cache to the database that is restarted."""

    def db_for_write(self, model: Any, **_hints: object) -> str | None:
        return "restarted" if model._meta.app_label == "django_cache" else None

    db_for_read = db_for_write

    def allow_migrate(self, db: str, app_label: str, **_hints: object) -> bool | None:
        return db == "restarted" if app_label == "django_cache" else None


@pytest.fixture
def restarted(
    tmp_path: Path, settings: Settings, django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Any:
    """A PostgreSQL server that keeps results and rows, and that the test restarts."""
    with running_postgres(tmp_path) as server, django_db_blocker.unblock():
        add_database("restarted", **dj_database_url.parse(server.url))
        with routed_to("restarted", settings):
            settings.DATABASE_ROUTERS = [*settings.DATABASE_ROUTERS, CacheRouter()]
            settings.CACHES = {
                "default": {
                    "BACKEND": "django.core.cache.backends.db.DatabaseCache",
                    "LOCATION": "results",
                }
            }
            call_command("createcachetable", database="restarted", verbosity=0)
            yield server
        connections["restarted"].close()
        del connections["restarted"], connections.settings["restarted"]


@pytest.mark.parametrize("how", ["fast", "immediate"])
def test_results_are_kept_again_after_a_restart_of_their_database(
    restarted: Postgres, how: Any
) -> None:
    """C24: with DatabaseCache the recorder never recovered: its connection was gone."""
    store = ResultStore("default", 60)
    before, after = make(), make()
    recorder().record(store, before)
    assert recorder().flush(PATIENCE)
    assert store.load(before.id).id == before.id
    restarted.stop(how)
    recorder().record(store, after)
    assert not recorder().flush(0.2)
    restarted.start()
    assert recorder().flush(PATIENCE)
    connections["restarted"].close()  # this thread's own, which Django renews with each request
    assert store.load(after.id).id == after.id
