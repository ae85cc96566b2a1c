"""What the page for beginners says, typed as it stands, with the wheel that was just built."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from project.settings import next_redis_database
from tests.conftest import ROOT, running_broker
from tests.package.conftest import Distributions
from tests.package.docs.markdown import Block, starts
from tests.package.docs.terminal import Terminal
from tests.rabbitmq import running_rabbitmq

STARTS = starts(ROOT / "docs" / "start.md")
TASKS = """
from celery import shared_task


@shared_task
def add(a, b):
    return a + b
"""
SETTINGS = """
INSTALLED_APPS += ["orders"]
CELERY_BROKER_URL = "redis://localhost:6379/0"
"""

djangos = pytest.mark.parametrize(
    "django",
    ["", pytest.param("'django>=6.1,<6.2'", marks=pytest.mark.slow_fault)],
    ids=["installed", "6.1"],
)


@pytest.fixture
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Valkey server that no other worker serves."""
    with running_broker(tmp_path_factory.mktemp("broker")) as url:
        yield url


def terminal(folder: Path, built: Distributions, django: str, broker: str = "") -> Terminal:
    replaced = {}
    if broker:
        replaced["redis://localhost:6379/0"] = broker
        replaced["redis://localhost:6379/1"] = next_redis_database(broker)
    return Terminal(folder, built.wheel, django, replaced)


@djangos
def test_without_a_broker(tmp_path: Path, built: Distributions, django: str) -> None:
    with terminal(tmp_path, built, django) as reader:
        reader.type(*STARTS["loop"])


@djangos
def test_with_celery(tmp_path: Path, built: Distributions, broker: str, django: str) -> None:
    with terminal(tmp_path, built, django, broker) as reader:
        reader.type(*STARTS["celery"])


@djangos
@pytest.mark.slow_fault
def test_with_celery_on_rabbitmq(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, built: Distributions, django: str
) -> None:
    blocks = STARTS["celery"]
    last = next(at for at in reversed(range(len(blocks))) if blocks[at].path)
    with (
        running_rabbitmq(tmp_path_factory.mktemp("rabbit")) as node,
        terminal(tmp_path, built, django) as reader,
    ):
        reader.replaced["localhost:5672"] = f"127.0.0.1:{node.port}"
        reader.type(*blocks[: last + 1], *STARTS["rabbitmq"], *blocks[last + 1 :])


@djangos
def test_beside_celery(tmp_path: Path, built: Distributions, broker: str, django: str) -> None:
    """Both kinds of tasks run in the worker that was there."""
    before = [
        *STARTS["celery"][:3],
        Block("append", "shop/settings.py", SETTINGS),
        Block("write", "orders/tasks.py", TASKS),
    ]
    with terminal(tmp_path, built, django, broker) as reader:
        reader.type(*before, *STARTS["beside"])
        worker = reader.running("celery")
        worker.wait_for("orders.tasks.add[")
        worker.wait_for("succeeded in", times=2)
        assert "5" in worker.lines("orders.tasks.add[")[-1]
