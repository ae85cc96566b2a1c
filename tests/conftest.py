"""Fixtures that start the real parts of the system."""

import os
import signal
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dev.broker import broker_command
from tests.mariadb import MariaDB, running_mariadb
from tests.postgres import Postgres, running_postgres
from tests.processes import Process, free_port, port_is_open, wait_until

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
DATABASE_FIXTURES = {"db", "transactional_db"}

# A suite that a shell started in the background ignores SIGINT, and so would all that it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Escape half characters, which tests log on purpose: no report could be sent with them."""
    report = yield
    report.sections = [
        (name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections
    ]
    return report


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors: most tests wait for other processes most of the time."""
    return (os.cpu_count() or 1) + 1


def uses_database(item: pytest.Item) -> bool:
    fixtures = getattr(item, "fixturenames", ())
    return bool(item.get_closest_marker("django_db") or DATABASE_FIXTURES.intersection(fixtures))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With a database given, as by tests.on_postgres, leave out what uses none in this process."""
    if "TEST_DATABASE_URL" not in os.environ:
        return
    config.hook.pytest_deselected(items=[item for item in items if not uses_database(item)])
    items[:] = filter(uses_database, items)


type StartWeb = Callable[..., tuple[str, Process]]


@contextmanager
def running_broker(directory: Path) -> Iterator[str]:
    """Run a real Valkey server, with its data in `directory`; give its address."""
    port = free_port()
    with Process(broker_command(port, str(directory)), {}, directory / "log"):
        wait_until(lambda: port_is_open(port), "the broker listens")
        yield f"redis://127.0.0.1:{port}/0"


@pytest.fixture(scope="session")
def broker_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Valkey server for tests that do not mind each other's workers."""
    with running_broker(tmp_path_factory.mktemp("broker")) as url:
        yield url


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A PostgreSQL server for tests that leave it running."""
    with running_postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(scope="session")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDB]:
    """A MariaDB server for tests that leave it running."""
    with running_mariadb(tmp_path_factory.mktemp("mariadb")) as server:
        yield server


@pytest.fixture(scope="session")
def partner_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the local stand-in for httpbin.org."""
    port = free_port()
    command = [str(BIN / "flask"), "--app", "httpbin.core", "run", "--port", str(port)]
    with Process(command, {}, tmp_path_factory.mktemp("partner") / "log"):
        wait_until(lambda: port_is_open(port), "the partner listens")
        yield f"http://127.0.0.1:{port}/"


@pytest.fixture
def start_web(tmp_path: Path, partner_url: str) -> Iterator[StartWeb]:
    """A function that starts uvicorn with the variables given; it returns (URL, process)."""
    started: list[Process] = []

    def start(**env: str) -> tuple[str, Process]:
        port = free_port()
        command = [str(BIN / "uvicorn"), "project.asgi:application", "--port", str(port)]
        env = {"OUTGOING_URL": partner_url, "DJANGO_SETTINGS_MODULE": "project.settings", **env}
        process = Process(command, env, tmp_path / f"web-{port}.log")
        started.append(process)
        process.wait_for("Uvicorn running on")  # not the end of the startup: it listens after that
        return f"http://127.0.0.1:{port}", process

    yield start
    for process in started:
        process.kill()
