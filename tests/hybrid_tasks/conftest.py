"""What tests of the core share: an outbox in a file, and a loop as the only backend."""

import gc
import warnings
from collections.abc import Iterator

import pytest
from pytest_django import DjangoDbBlocker, Settings

from tests.hybrid_tasks.databases import add_sqlite, routed_to
from tests.hybrid_tasks.outbox.durable_tasks import gates, runs
from tests.hybrid_tasks.outbox.on_loop import use
from tests.rabbitmq import RabbitMQ, running_rabbitmq


@pytest.fixture(scope="session", autouse=True)
def _no_sockets() -> Iterator[None]:
    """Let sockets go that caches had opened in threads of loops that have ended.

    redis-py closes what is garbage, but in a circle of garbage the sockets may come first, and
    complain.
    """
    yield
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        gc.collect()


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    """A node that tests leave running, and its queues empty."""
    with running_rabbitmq(tmp_path_factory.mktemp("rabbitmq")) as node:
        yield node


@pytest.fixture(scope="session")
def core_alias(
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
    tmp_path_factory: pytest.TempPathFactory,
) -> str:
    with django_db_blocker.unblock():
        return add_sqlite("outbox_core", tmp_path_factory.mktemp("outbox") / "core.sqlite3")


@pytest.fixture
def outbox(
    core_alias: str, settings: Settings, django_db_blocker: DjangoDbBlocker
) -> Iterator[str]:
    """The alias of a database with an outbox that is empty before and after."""
    with django_db_blocker.unblock(), routed_to(core_alias, settings):
        yield core_alias


@pytest.fixture
def only_loop(settings: Settings, outbox: str) -> None:
    """An event loop is the only backend, and nothing has run yet."""
    runs.clear()
    gates.clear()
    use(settings)
