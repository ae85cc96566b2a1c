"""The smokehouse on a PostgreSQL server on which nobody else has connections."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.meats.smokehouse import Smokehouse
from tests.postgres import Postgres, running_postgres

type Build = Callable[..., Smokehouse]


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A server with its own defaults, such as 100 connections."""
    with running_postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture
def build(tmp_path: Path, server: Postgres) -> Iterator[Build]:
    """A function that makes a smokehouse, with the variables given, on a database of its own."""
    url = server.new_database()
    made: list[Smokehouse] = []

    def start(**env: str) -> Smokehouse:
        shop = Smokehouse(tmp_path, DATABASE_URL=url, POST_RATE="10000/minute", **env)
        made.append(shop)
        return shop

    yield start
    for shop in made:
        shop.close()
