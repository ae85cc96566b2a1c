"""A healthy system for all tests, and one of its own for a test that breaks it."""

import shutil
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis

from tests.hybrid_tasks.doctor.clinic import Clinic
from tests.loop.system import migrated_file
from tests.processes import PATIENCE, wait_until


@pytest.fixture(scope="session")
def doctor_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with all tables, to be copied."""
    return migrated_file(Clinic.settings, tmp_path_factory.mktemp("doctor"))


def admit(directory: Path, database: Path, processes: ExitStack) -> Clinic:
    """Return a system with a broker and a database."""
    shutil.copyfile(database, directory / "db.sqlite3")
    return Clinic(directory, processes, f"sqlite:///{directory / 'db.sqlite3'}")


@pytest.fixture
def clinic(tmp_path: Path, doctor_database: Path) -> Iterator[Clinic]:
    """A system in which nothing runs but the broker."""
    with ExitStack() as processes:
        yield admit(tmp_path, doctor_database, processes)


@pytest.fixture(scope="session")
def healthy(doctor_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    """A system of which all parts run; the tests let it be."""
    with ExitStack() as processes, ThreadPoolExecutor() as pool:
        system = admit(tmp_path_factory.mktemp("healthy"), doctor_database, processes)
        # A machine that hangs for some seconds is no broker that does.
        system.env["BROKER_SECONDS"] = str(PATIENCE)
        web, relay = pool.submit(system.serve), pool.submit(system.relay)
        system.work("default")
        web.result()
        relay.result()
        wait_until(lambda: has_traces(system), "web process and relay have left their traces")
        yield system


def has_traces(system: Clinic) -> bool:
    with redis.Redis.from_url(f"{system.env['BROKER_URL']}/1") as client:
        keys = ("hybrid_tasks:serves:default:0", "hybrid_tasks:relay")
        return client.exists(*[f":1:{key}" for key in keys]) == len(keys)


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port of a server that hangs: it accepts, and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        port: int = listener.getsockname()[1]
        yield port
