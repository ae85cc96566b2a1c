"""The fixtures of the small system of real processes."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.loop.system import System, migrated_file
from tests.processes import PATIENCE


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with all tables, to be copied."""
    return migrated_file(System.settings, tmp_path_factory.mktemp("loop"))


@pytest.fixture
def system(tmp_path: Path, migrated: Path) -> Iterator[System]:
    """A broker, a database, and what the test starts beside them."""
    database = tmp_path / "db.sqlite3"
    shutil.copyfile(migrated, database)
    with ExitStack() as processes:
        system = System(tmp_path, processes, f"sqlite:///{database}")
        # A machine that hangs for some seconds is no broker that does: tests of that say so.
        system.env["BROKER_SECONDS"] = str(PATIENCE)
        yield system
