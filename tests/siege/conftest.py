"""Fixtures of the siege, and the table that it prints at its end."""

import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.postgres import Postgres
from tests.siege.fortress import Fortress
from tests.siege.reporting import Line, table

LINES = pytest.StashKey[list[Line]]()
FILES = 8_192  # connections are files

type Report = Callable[[Line], None]
type Build = Callable[..., Fortress]


# It takes a while: `make siege` asks for it.
collect_ignore_glob = [] if os.environ.get("SIEGE") else ["test_*.py"]


def pytest_configure(config: pytest.Config) -> None:
    config.stash[LINES] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    lines = terminalreporter.config.stash[LINES]
    if lines:
        terminalreporter.section("the shop under siege, on PostgreSQL")
        for line in table(lines):
            terminalreporter.write_line(line)


@pytest.fixture(autouse=True, scope="session")
def many_files() -> None:
    """Let this process, and what it starts, have as many connections as are brought."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(FILES, hard), hard))


@pytest.fixture
def fortress(tmp_path: Path, postgres: Postgres) -> Iterator[Build]:
    """A function that starts the shop, with a database of its own and the variables given."""
    built: list[Fortress] = []

    def build(**env: str) -> Fortress:
        built.append(Fortress(tmp_path, postgres.new_database(), **env))
        return built[-1]

    yield build
    for one in built:
        one.close()


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Report:
    """What each siege calls at its end."""

    def add(line: Line) -> None:
        request.config.stash[LINES].append(line)
        line.verify()

    return add
