"""The smokehouse on PostgreSQL, with all of its processes, as it is besieged."""

import sys
from pathlib import Path

import psycopg

from tests.conftest import BIN, ROOT
from tests.meats.smokehouse import Smokehouse
from tests.processes import Process, wait_until
from tests.siege.watching import Watch, memory


class Fortress(Smokehouse):
    """A web server, a relay and a worker for each queue.

    Attributes:
        web: the web server.
        bound: connections to the database that all processes together may have; see
            docs/postgresql.md.
    """

    bound = 40  # 21 of web, 7 of each worker, 2 of the relay, and some that are just being closed

    def __init__(self, directory: Path, database_url: str, **env: str) -> None:
        self.database_url = database_url
        settings = {
            "DATABASE_URL": database_url,
            "DEBUG": "true",  # or its static files would have to be collected
            "HTTPS_ONLY": "false",
            "SECRET_KEY": "only-for-tests",
            **env,
        }
        super().__init__(directory, **settings)
        self.mail.start()
        self.partner.start()
        self.web = self.start_web()
        self.workers = [self.start_queue(queue) for queue in ("default", "heavy")]
        relay = [sys.executable, str(ROOT / "manage.py"), "relay_outbox", "--interval", "1"]
        self.parts.push(Process(relay, self.env, self.log("relay")))

    def start_queue(self, queue: str) -> Process:
        """Start a worker of one queue."""
        command = [str(BIN / "celery"), "-A", "project", "worker", "--concurrency=2"]
        command += ["--queues", queue, "--hostname", f"{queue}@%h"]
        process = Process(command, self.env, self.log(f"worker-{queue}"))
        self.parts.push(process)
        process.wait_for(" ready.")
        return process

    def watch(self, *paths: str) -> Watch:
        """Watch pages, the home page unless told otherwise, and the database."""
        return Watch(self.url, self.database_url, paths or ("/",))

    def memory(self) -> int:
        """Return the bytes of the web server."""
        return memory(self.web.pid)

    def count(self, sql: str) -> int:
        """Return the number that a query gives."""
        with psycopg.connect(self.database_url) as connection:
            row = connection.execute(sql.encode()).fetchone()
        assert row is not None
        return int(row[0])

    def wait_smoked(self, orders: int) -> None:
        """Wait until so many orders are smoked, and no task is left in the outbox."""
        sql = "SELECT count(*) FROM meats_order WHERE state <> 'received'"
        wait_until(lambda: self.count(sql) == orders, f"{orders} orders are smoked", seconds=300)

    def left(self) -> int:
        """Return how many tasks wait in the outbox, or are dead letters."""
        return self.count("SELECT count(*) FROM hybrid_tasks_outboxtask")
