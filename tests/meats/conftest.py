"""Databases for the smokehouse under test."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.meats.smokehouse import Smokehouse
from tests.postgres import Postgres


@pytest.fixture(params=["sqlite", "postgres"])
def on_each_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Smokehouse]:
    """A smokehouse with its mail server and partner, on SQLite and on PostgreSQL."""
    variables = {}
    if request.param == "postgres":
        server: Postgres = request.getfixturevalue("postgres")
        name = f"smokehouse_{secrets.token_hex(4)}"
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
        variables["DATABASE_URL"] = f"{server.url.rpartition('/')[0]}/{name}"
    smokehouse = Smokehouse(tmp_path, **variables)
    smokehouse.mail.start()
    smokehouse.partner.start()
    yield smokehouse
    smokehouse.close()
