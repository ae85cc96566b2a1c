"""Broker, mail server, worker and beat as real processes, each of which can be killed."""

import mailbox
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

from dev.broker import broker_command
from tests.conftest import BIN, ROOT
from tests.postgres import Postgres
from tests.processes import Process, free_port, port_is_open, wait_until

CELERY = (str(BIN / "celery"), "-A", "project")
WORKER = (*CELERY, "worker", "--concurrency", "2", "--queues", "default,heavy")
BEAT = (*CELERY, "beat", "--pidfile=", "--loglevel", "INFO")


@contextmanager
def prepared(directory: Path, postgres: Postgres | None = None, **env: str) -> Iterator["System"]:
    """Give a System with its broker, and a database that is migrated and has the schedules."""
    system = System(directory, postgres)
    system.env |= env
    try:
        system.start_broker()
        system.manage("migrate", "--verbosity", "0")
        system.manage("sync_schedules")
        yield system
    finally:
        system.kill()


class System:
    """Everything below `directory`, with a database that the test reads directly.

    That is an SQLite file of its own, or that of the `postgres` server.
    """

    def __init__(self, directory: Path, postgres: Postgres | None = None) -> None:
        self.directory = directory
        self.postgres = postgres
        self.broker_port, self.smtp_port = free_port(), free_port()
        self.database = directory / "db.sqlite3"
        self.maildir = directory / "mail"
        self.env = {
            "DJANGO_SETTINGS_MODULE": "tests.reports.process_settings",
            "PYTHONPATH": str(ROOT),
            "SECRET_KEY": "only-for-tests",
            "VAR_DIR": str(directory),
            "DATABASE_URL": postgres.url if postgres else f"sqlite:///{self.database}",
            "REDIS_URL": f"redis://127.0.0.1:{self.broker_port}/0",
            "EMAIL_PORT": str(self.smtp_port),
            "MAIL_ARCHIVE": str(self.maildir),
            "REPORT_CHUNK": "10",
            "RETRY_SECONDS": "0.5",
        }
        self._started: list[Process] = []
        self._numbers = count()

    def start(self, *command: str) -> Process:
        log = self.directory / f"{next(self._numbers)}-{Path(command[0]).name}.log"
        process = Process(command, self.env, log)
        self._started.append(process)
        return process

    def start_broker(self) -> None:
        data = self.directory / "broker"
        data.mkdir(exist_ok=True)
        self._broker = self.start(*broker_command(self.broker_port, str(data)))
        wait_until(lambda: port_is_open(self.broker_port), "the broker listens")

    def restart_broker(self) -> None:
        """Kill the broker and start it with what it had written."""
        self._broker.kill()
        self.start_broker()

    def start_mail(self, handler_class: str = "SlowMailbox") -> Process:
        handler = ("--class", f"tests.reports.slow_mail.{handler_class}", str(self.maildir))
        address = f"127.0.0.1:{self.smtp_port}"
        process = self.start(str(BIN / "aiosmtpd"), "--nosetuid", "--listen", address, *handler)
        wait_until(lambda: port_is_open(self.smtp_port), "the mail server listens")
        return process

    def start_worker(self) -> Process:
        self._worker = self.start(*WORKER)
        self._worker.wait_for(" ready.")
        return self._worker

    def wait_for_worker(self, condition: Callable[[], bool], what: str, seconds: float) -> None:
        """Wait until `condition()` is true; start another worker whenever the last one has ended.

        Kombu 5.7 may have a worker end itself that loses the broker, if only for a second.
        """

        def met() -> bool:
            if self._worker.popen.poll() is not None:
                self.start_worker()
            return condition()

        wait_until(met, what, seconds)

    def kill_worker(self) -> None:
        self._worker.kill()

    def start_beat(self) -> Process:
        return self.start(*BEAT)

    def wait_for_ticks(self) -> None:
        """Wait until beat has sent the relay, which is due every few seconds, some more times."""
        query = (
            "SELECT total_run_count FROM django_celery_beat_periodictask"
            " WHERE task = 'hybrid_tasks.relay_outbox'"
        )
        ((before,),) = self.rows(query)
        wait_until(lambda: self.rows(query)[0][0] >= before + 3, "beat is at work")

    def manage(self, *arguments: str) -> str:
        """Run manage.py; return what it printed."""
        process = self.start(sys.executable, str(ROOT / "manage.py"), *arguments)
        assert process.popen.wait(timeout=120) == 0, process.output()
        return process.output()

    def connect(self) -> Any:
        if self.postgres:
            return psycopg.connect(self.postgres.url)
        return sqlite3.connect(self.database, timeout=20)

    def rows(self, query: str) -> Sequence[Any]:
        with closing(self.connect()) as connection:
            found: Sequence[Any] = connection.execute(query).fetchall()
            return found

    def change(self, statement: str) -> None:
        with closing(self.connect()) as connection, connection:
            connection.execute(statement)

    def count_mails(self) -> int:
        return len(list((self.maildir / "new").glob("*")))

    def mails_to(self) -> Counter[str]:
        """Return how many mails each address got, as the mail server's folder has them."""
        return Counter(str(message["To"]) for message in mailbox.Maildir(self.maildir))

    def recipients(self) -> Counter[str]:
        """Return how many mails each recipient got, as the mail server was told them."""
        return Counter(str(message["X-RcptTo"]) for message in mailbox.Maildir(self.maildir))

    def log(self) -> str:
        return "\n".join(process.output() for process in self._started)

    def kill(self) -> None:
        for process in self._started:
            process.kill()
