"""One fixture over both backends: a loop in this process, and a real worker behind a broker."""

import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from django.db import DatabaseError, connections
from django.tasks import task_backends
from pytest_django import DjangoDbBlocker, Settings

from hybrid_tasks.backends import base
from hybrid_tasks.backends import celery as celery_backend
from hybrid_tasks.backends.base import HybridBackend
from hybrid_tasks.backends.eventloop import serve
from hybrid_tasks.django_types import DjangoTask
from hybrid_tasks.execution.threads import then_close
from hybrid_tasks.relay import relay
from hybrid_tasks.results.task_result import TaskResult
from project.settings import next_redis_database
from tests.conftest import BIN
from tests.hybrid_tasks.caches import shared_cache
from tests.hybrid_tasks.contract import sender
from tests.hybrid_tasks.contract.waiting import finished, until
from tests.hybrid_tasks.databases import add_server, add_sqlite, routed_to
from tests.mariadb import MariaDB
from tests.processes import PATIENCE, Process
from tests.rabbitmq import RabbitMQ, running_rabbitmq

AHEAD = timedelta(seconds=6)  # enough to cancel what is due then, though a machine hang meanwhile
TASKS = (
    "tests.hybrid_tasks.tasks",
    "tests.hybrid_tasks.celery.deadly",
    "tests.hybrid_tasks.contract.unfriendly.tasks",
)
ALIASES = {"eventloop": "default", "celery": "celery"}

QUEUES = ["default", "default.again", "deadly", "limited"]
WORKERS: list[Any] = [
    "valkey",
    pytest.param("rabbitmq", marks=pytest.mark.every_broker),
    pytest.param("quorum", marks=pytest.mark.every_broker),
]
# For a few tests that run behind each of them in `make test`, too.
everywhere = pytest.mark.parametrize(
    "broker_name",
    [pytest.param("", id="eventloop"), "valkey", "rabbitmq", "quorum"],
    indirect=True,
    scope="session",
)
# For what only Celery does, behind each of the brokers.
behind_brokers = pytest.mark.parametrize("broker_name", WORKERS, indirect=True, scope="session")


@dataclass(frozen=True)
class Ledger:
    """What tasks noted, in this process and in the worker's."""

    path: Path

    def of(self, key: str) -> list[dict[str, Any]]:
        """Return what was noted under `key`, in order."""
        lines = map(json.loads, self.path.read_text().splitlines())
        return [line for line in lines if line["key"] == key]

    def events(self, key: str) -> list[str]:
        return [line["event"] for line in self.of(key)]

    async def until(self, key: str, event: str, times: int = 1) -> None:
        """Wait until `event` was noted under `key` that often."""
        await until(lambda: self.events(key).count(event) >= times, f"{event!r} in the ledger")


@dataclass(frozen=True)
class Contract:
    """A backend whose promises are tested.

    Attributes:
        name: "eventloop" or "celery", behind whichever broker.
        alias: of the backend in TASKS.
        ledger: what its tasks noted.
        caplog: of the test.
        worker: the process that runs the tasks, unless this one does.
    """

    name: str
    alias: str
    ledger: Ledger
    caplog: pytest.LogCaptureFixture
    worker: Process | None

    @property
    def backend(self) -> HybridBackend[Any]:
        backend = task_backends[self.alias]
        assert isinstance(backend, HybridBackend)
        return backend

    def of[T: DjangoTask](self, task: T, **options: Any) -> T:
        """Return `task` for this backend, with `options`."""
        using: Any = task.using  # of plain tasks, too, to which Django's types know fewer options
        ours: T = using(backend=self.alias, **options)
        return ours

    async def run(self, task: Any, *args: Any, **kwargs: Any) -> TaskResult:
        """Enqueue `task` on this backend and return its result when it has ended."""
        return await finished(await self.of(task).aenqueue(*args, **kwargs))

    def log(self) -> str:
        """Return what was logged where the tasks run."""
        return self.worker.output() if self.worker else self.caplog.text


@pytest.fixture(scope="session")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    path = tmp_path_factory.mktemp("ledger") / "lines"
    path.touch()
    return Ledger(path)


@pytest.fixture(scope="session", params=["", *WORKERS], ids=lambda name: name or "eventloop")
def broker_name(request: pytest.FixtureRequest) -> str:
    """The broker in front of the workers; none for the event loop, which comes first."""
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    """A node for these tests alone: their workers take what is sent to it, to the session's end."""
    with running_rabbitmq(tmp_path_factory.mktemp("contract-rabbitmq")) as node:
        yield node


@pytest.fixture(scope="session")
def app(request: pytest.FixtureRequest, broker_name: str, broker_url: str) -> Celery:
    """The application by which this process sends."""
    app: Celery = getattr(sender, broker_name or "valkey")
    if app is sender.valkey:
        app.conf.broker_url = broker_url
    else:
        node: RabbitMQ = request.getfixturevalue("rabbitmq")
        node.delete_queues(*QUEUES)  # which are of the other kind
        app.conf.broker_url = node.url
    return app


@pytest.fixture(scope="session")
def worker_env(
    app: Celery, broker_name: str, broker_url: str, ledger: Ledger, outbox_alias: str
) -> dict[str, str]:
    """The environment of a worker that knows our broker, ledger and outbox."""
    return {
        "DJANGO_SETTINGS_MODULE": "tests.hybrid_tasks.broker_settings",
        "BROKER_NAME": broker_name,
        "BROKER_URL": app.conf.broker_url,
        "DATABASE_URL": url_of(outbox_alias),
        "CACHE_URL": next_redis_database(broker_url),
        "LOG_LEVEL": "INFO",
        "LEDGER": str(ledger.path),
    }


def url_of(alias: str) -> str:
    """Return the DATABASE_URL of a database that add_server() or add_sqlite() has added."""
    has = connections[alias].settings_dict
    if connections[alias].vendor == "sqlite":
        return f"sqlite:///{has['NAME']}"
    return f"{connections[alias].vendor}://{has['USER']}@{has['HOST']}:{has['PORT']}/{has['NAME']}"


@contextmanager
def running_worker(directory: Path, env: dict[str, str], *options: str) -> Iterator[Process]:
    """Run a Celery worker with two processes that knows the catalogue of tasks."""
    command = [str(BIN / "celery"), "-A", "project", "worker", "--concurrency", "2"]
    include = ["--include", ",".join(TASKS)]
    env = {**env, "VAR_DIR": str(directory)}
    with Process([*command, *include, *options], env, directory / "log") as process:
        process.wait_for(" ready.")
        yield process


@pytest.fixture(scope="session")
def worker(
    tmp_path_factory: pytest.TempPathFactory, worker_env: dict[str, str]
) -> Iterator[Process]:
    """A worker for tests that do not mind each other's tasks."""
    with running_worker(tmp_path_factory.mktemp("worker"), worker_env) as process:
        yield process


@pytest.fixture
def backend_name(broker_name: str) -> str:
    return "celery" if broker_name else "eventloop"


@pytest.fixture
async def contract(
    request: pytest.FixtureRequest,
    backend_name: str,
    shared_settings: None,
    ledger: Ledger,
    outbox_open: None,
    caplog: pytest.LogCaptureFixture,
) -> AsyncIterator[Contract]:
    """A backend that runs tasks: each in turn."""
    worker = request.getfixturevalue("worker") if backend_name == "celery" else None
    async with AsyncExitStack() as stack:
        if worker is None:
            caplog.set_level("INFO")
            await stack.enter_async_context(serve())
        yield Contract(backend_name, ALIASES[backend_name], ledger, caplog, worker)


@pytest.fixture(scope="session")
def outbox_kind(request: pytest.FixtureRequest) -> str:
    """Where the outbox is: in SQLite, but for tests that are parametrised otherwise."""
    kind: str = getattr(request, "param", "sqlite")
    return kind


@pytest.fixture(scope="session")
def sqlite_outbox(
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
    tmp_path_factory: pytest.TempPathFactory,
) -> str:
    with django_db_blocker.unblock():
        return add_sqlite("outbox_contract", tmp_path_factory.mktemp("outbox") / "db.sqlite3")


@pytest.fixture(scope="session")
def mariadb_outbox(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, mariadb: MariaDB
) -> str:
    with django_db_blocker.unblock():
        return add_server("outbox_contract_mariadb", mariadb)


@pytest.fixture(scope="session")
def outbox_alias(request: pytest.FixtureRequest, outbox_kind: str) -> str:
    """The outbox of this process and of the worker, in a database of its own.

    Each is made once: threads that have used one keep their connections to it.
    """
    alias: str = request.getfixturevalue(f"{outbox_kind}_outbox")
    return alias


@pytest.fixture
def outbox_open(
    outbox_alias: str, settings: Settings, django_db_blocker: DjangoDbBlocker
) -> Iterator[None]:
    """Let this process use the outbox, from whatever thread; leave it empty."""
    with django_db_blocker.unblock(), routed_to(outbox_alias, settings):
        yield


@pytest.fixture
def near(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a task wait where it will run that is due as far ahead as `AHEAD`, and a bit."""
    monkeypatch.setattr(base, "NEAR_SECONDS", 2 * AHEAD.total_seconds())


@pytest.fixture
def shared_settings(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    app: Celery,
    broker_name: str,
    broker_url: str,
    ledger: Ledger,
) -> None:
    """Let this process use the broker, the cache and the ledger that the worker uses."""
    settings.CACHES = shared_cache(broker_url)
    settings.TASKS = {
        "default": {
            "BACKEND": "hybrid_tasks.backends.eventloop.EventLoopBackend",
            "OPTIONS": {"drain_timeout": 0},
        },
        "celery": {
            "BACKEND": "hybrid_tasks.backends.celery.CeleryBackend",
            "QUEUES": ["default", "deadly", "limited"],
            "OPTIONS": {"app": f"{sender.__name__}.{app.main}"},
        },
    }
    monkeypatch.setattr(celery_backend, "PUBLISH_SECONDS", PATIENCE)
    monkeypatch.setenv("LEDGER", str(ledger.path))


@pytest.fixture
def relaying(contract: Contract) -> Iterator[None]:
    """A relay in the background, as beat sends it."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(0.1):
            # Such as a lock that another process holds for too long: the next one does it.
            with suppress(DatabaseError):
                then_close(relay)

    thread = threading.Thread(target=run)
    thread.start()
    yield
    stop.set()
    thread.join()
