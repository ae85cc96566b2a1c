"""Databases for the smokehouse under test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.meats.smokehouse import Smokehouse
from tests.postgres import Postgres


@pytest.fixture(params=["sqlite", "postgres"])
def on_each_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Smokehouse]:
    """A smokehouse with its mail server and partner, on SQLite and on PostgreSQL."""
    variables = {}
    if request.param == "postgres":
        server: Postgres = request.getfixturevalue("postgres")
        variables["DATABASE_URL"] = server.new_database()
    smokehouse = Smokehouse(tmp_path, **variables)
    smokehouse.mail.start()
    smokehouse.partner.start()
    yield smokehouse
    smokehouse.close()
