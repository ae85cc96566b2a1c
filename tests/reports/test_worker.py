"""Jobs on a real worker, over a real broker."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from project.celery import app
from tests.conftest import BIN, running_broker
from tests.processes import PATIENCE, Process
from tests.project.test_settings import manage


@pytest.fixture(scope="module")
def broker_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A broker whose messages no other test's worker takes."""
    with running_broker(tmp_path_factory.mktemp("broker")) as url:
        yield url


@pytest.fixture
def worker(tmp_path: Path, broker_url: str) -> Iterator[Process]:
    env = {
        "DJANGO_SETTINGS_MODULE": "project.settings",
        "VAR_DIR": str(tmp_path),
        "DATABASE_URL": f"sqlite:///{tmp_path}/db.sqlite3",
        "REDIS_URL": broker_url,
        "SECRET_KEY": "only-for-tests",
    }
    assert manage("migrate", "--verbosity", "0", **env).returncode == 0
    command = [str(BIN / "celery"), "-A", "project", "worker", "--concurrency", "1"]
    with Process(command, env, tmp_path / "worker.log") as process:
        process.wait_for(" ready.")
        yield process


# The project's own limits, of a second each, are for what must not wait for a broker that hangs.
PATIENT = {"socket_connect_timeout": PATIENCE, "socket_timeout": PATIENCE}


def test_a_worker_runs_what_is_sent_by_name(worker: Process, broker_url: str) -> None:
    with app.connection_for_write(broker_url, transport_options=PATIENT) as connection:
        sent = app.send_task("reports.tasks.nightly_cleanup", connection=connection)
    worker.wait_for(f"nightly_cleanup[{sent.id}] succeeded")
    assert "'expired_sessions': 0" in worker.output()


def test_a_worker_refuses_anything_but_json(worker: Process, broker_url: str) -> None:
    with app.connection_for_write(broker_url, transport_options=PATIENT) as connection:
        app.send_task("reports.tasks.nightly_cleanup", connection=connection, serializer="pickle")
    worker.wait_for("Refusing to deserialize untrusted content of type pickle")


def test_a_worker_ends_in_order(worker: Process) -> None:
    assert worker.stop() == 0
