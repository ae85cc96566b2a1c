"""What the page for beginners says, typed as it stands, with the wheel that was just built."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from project.settings import next_redis_database
from tests.conftest import ROOT, running_broker
from tests.package.conftest import Distributions
from tests.package.docs.markdown import starts
from tests.package.docs.terminal import Terminal

STARTS = starts(ROOT / "docs" / "start.md")
HERE = Path(__file__).parent


def type_all(
    name: str, folder: Path, built: Distributions, broker: str = "", more: str = ""
) -> None:
    replaced = {}
    if broker:
        replaced["redis://localhost:6379/0"] = broker
        replaced["redis://localhost:6379/1"] = next_redis_database(broker)
    with Terminal(folder, built.wheel, more, replaced) as terminal:
        for block in STARTS[name]:
            terminal.type(block)


@pytest.fixture
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Valkey server that no other worker serves."""
    with running_broker(tmp_path_factory.mktemp("broker")) as url:
        yield url


def test_without_a_broker(tmp_path: Path, built: Distributions) -> None:
    type_all("loop", tmp_path, built)


def test_with_celery(tmp_path: Path, built: Distributions, broker: str) -> None:
    type_all("celery", tmp_path, built, broker)
