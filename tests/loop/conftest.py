"""The fixtures of the small system of real processes."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.loop.system import System, migrate


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with all tables, to be copied."""
    directory = tmp_path_factory.mktemp("loop")
    path = directory / "db.sqlite3"
    migrate(System.settings, f"sqlite:///{path}", directory / "migrate.log")
    return path


@pytest.fixture
def system(tmp_path: Path, migrated: Path) -> Iterator[System]:
    """A broker, a database, and what the test starts beside them."""
    database = tmp_path / "db.sqlite3"
    shutil.copyfile(migrated, database)
    with ExitStack() as processes:
        yield System(tmp_path, processes, f"sqlite:///{database}")
