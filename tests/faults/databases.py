"""The databases of the fault suite, as a test looks into them and prepares them."""

import shutil
import sqlite3
from abc import ABC, abstractmethod
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

from tests.mariadb import MariaDB
from tests.postgres import Postgres

TABLE = "hybrid_tasks_outboxtask"
OUTBOX_OF = "SELECT id, state, attempts, max_attempts FROM"
OUTBOX = f"{OUTBOX_OF} {TABLE}"


@dataclass(frozen=True, slots=True)
class Row:
    """What the outbox holds of a task."""

    id: str
    state: str
    attempts: int
    max_attempts: int

    @property
    def dead(self) -> bool:
        return self.state == "DEAD"


class Database(ABC):
    """One database with the tables of the fault project, for one test."""

    name: str
    url: str

    @abstractmethod
    def rows(self) -> list[Row]:
        """Return what is in the outbox."""


class SQLite(Database):
    """A copy of the file `template`."""

    name = "SQLite"

    def __init__(self, template: Path, directory: Path) -> None:
        self.path = directory / "db.sqlite3"
        shutil.copyfile(template, self.path)
        self.url = f"sqlite:///{self.path}"

    def rows(self) -> list[Row]:
        with closing(sqlite3.connect(self.path, timeout=30)) as connection:
            return [Row(*found) for found in connection.execute(OUTBOX)]


class PostgreSQL(Database):
    """A copy of the server's database `template`."""

    name = "PostgreSQL"
    template = "faults"

    def __init__(self, server: Postgres) -> None:
        self.server = server
        self.url = server.new_database(template=self.template)

    def rows(self) -> list[Row]:
        with psycopg.connect(self.url) as connection:
            return [Row(*found) for found in connection.execute(OUTBOX)]


class Maria(Database):
    """A database of its own on the server, which the caller migrates."""

    name = "MariaDB"
    _numbers = count()

    def __init__(self, server: MariaDB) -> None:
        self.server = server
        self.schema = f"faults_{next(self._numbers)}"
        server.execute(f"CREATE DATABASE {self.schema}")
        self.url = f"{server.url.rpartition('/')[0]}/{self.schema}"

    def rows(self) -> list[Row]:
        found: list[Any] = self.server.execute(f"{OUTBOX_OF} {self.schema}.{TABLE}")
        return [Row(*row) for row in found]
