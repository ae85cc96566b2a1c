"""A small system of real processes: a broker of its own, web servers and Celery workers."""

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import redis

from dev.broker import broker_command
from tests.conftest import BIN, ROOT
from tests.loop.ledger import Ledger, gate_beside
from tests.processes import Process, free_port, port_is_open, wait_until

type Options = Mapping[str, Any]
type Env = Mapping[str, str]

DJANGO = (sys.executable, "-m", "django")


def environment(settings: str, database_url: str) -> dict[str, str]:
    """Return the variables of a process that needs no broker."""
    return {
        "DJANGO_SETTINGS_MODULE": settings,
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "BROKER_URL": "redis://127.0.0.1:1",
        "DATABASE_URL": database_url,
        "LOOP_OPTIONS": "{}",
    }


def migrate(settings: str, database_url: str, log: Path) -> None:
    """Make the tables of the project in a new database."""
    command = [*DJANGO, "migrate", "--verbosity", "0"]
    with Process(command, environment(settings, database_url), log) as process:
        assert process.popen.wait(timeout=60) == 0, process.output()


def migrated_file(settings: str, directory: Path) -> Path:
    """Return a SQLite file with all tables, to be copied."""
    path = directory / "db.sqlite3"
    migrate(settings, f"sqlite:///{path}", directory / "migrate.log")
    return path


class Web:
    """A web server."""

    def __init__(self, port: int, process: Process) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.process = process

    def get(self, path: str, **query: Any) -> Any:
        """Return the JSON that the server answers."""
        response = httpx.get(f"{self.url}/{path}", params=query, timeout=120)
        assert response.status_code == 200, f"{response.text}\n{self.process.output()}"
        return response.json()

    def enqueue(self, n: int, **query: Any) -> list[str]:
        """Enqueue `n` tasks in one request; return their ids."""
        ids: list[str] = self.get("enqueue", n=n, **query)["ids"]
        return ids

    def statuses(self, ids: list[str]) -> dict[str, int]:
        """Return how many of the tasks are in which state, as the server tells."""
        response = httpx.post(f"{self.url}/statuses", json=ids, timeout=60)
        counts: dict[str, int] = response.json()
        return counts


class System:
    """The processes of one test, all ended with it, and the ledger that they write.

    Its broker is not the session's: what another test left in a queue must not run here, and it can
    be stopped.
    """

    settings = "tests.loop.settings"

    def __init__(self, directory: Path, processes: ExitStack, database_url: str) -> None:
        self.directory = directory
        self.ledger = Ledger(directory / "ledger")
        self._processes = processes
        self._numbers = count(1)
        self.broker_port = free_port()
        self.start_broker()
        self.env = environment(self.settings, database_url) | {
            "BROKER_URL": f"redis://127.0.0.1:{self.broker_port}",
            "LEDGER": str(self.ledger.path),
        }

    def start_broker(self) -> None:
        """Start the broker, with what it kept when it ran before."""
        self.broker = self.start(broker_command(self.broker_port, str(self.directory)))
        wait_until(lambda: port_is_open(self.broker_port), "the broker listens")

    def start(self, command: Sequence[str], env: Env | None = None) -> Process:
        log = self.directory / f"{next(self._numbers)}.log"
        return self._processes.enter_context(Process(command, env or {}, log))

    def web(
        self,
        options: Options,
        command: Sequence[str] = (str(BIN / "uvicorn"), "tests.loop.asgi:application"),
        port_option: str = "--port={port}",
        ready: str = "Application startup complete",
        ready_times: int = 1,
    ) -> Web:
        """Start a web server, uvicorn unless told otherwise, and wait until it is `ready`."""
        port = free_port()
        env = self.env | {"LOOP_OPTIONS": json.dumps(options)}
        process = self.start([*command, port_option.format(port=port)], env)
        process.wait_for(ready, ready_times)
        wait_until(lambda: port_is_open(port), "the server listens")  # some say so before they do
        return Web(port, process)

    def worker(self, *more: str, **env: str) -> Process:
        """Start a Celery worker in which tasks take no time; wait until it is ready."""
        celery = (str(BIN / "celery"), "--app", "tests.loop.celery_app")
        command = [*celery, "worker", "--loglevel", "INFO", *more]
        process = self.start(command, {"SECONDS_SCALE": "0"} | self.env | env)
        process.wait_for(" ready.")
        return process

    def manage(self, options: Options, *command: str) -> str:
        """Run a management command to its end; return its output."""
        env = self.env | {"LOOP_OPTIONS": json.dumps(options)}
        process = self.start([*DJANGO, *command], env)
        assert process.popen.wait(timeout=60) == 0, process.output()
        return process.output()

    def open_gate(self) -> None:
        """Let the tasks go on that wait for it."""
        gate_beside(str(self.ledger.path)).touch()

    def queued_ids(self) -> list[str]:
        """Return the ids of the tasks that wait in the broker."""
        with redis.Redis.from_url(self.env["BROKER_URL"]) as client:
            queues = list(client.scan_iter("default*", _type="list"))
            messages = [message for key in queues for message in client.lrange(key, 0, -1)]
        return [json.loads(message)["headers"]["id"] for message in messages]
