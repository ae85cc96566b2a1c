"""A real PostgreSQL server for tests and benchmarks: its own data, thrown away at the end."""

import secrets
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import psutil
import psycopg

from dev.postgres.programs import find_binaries, run_initdb
from dev.users import give, ordinary_user
from tests.processes import PATIENCE, Process, free_port, wait_until

type Stop = Literal["fast", "immediate", "crash"]


# How many connections others than the one that asks have to a server.
CLIENTS = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
)


class Postgres:
    """One server on 127.0.0.1, where anybody is let in as `postgres`.

    `url` is its DATABASE_URL, which a restart does not change. Its output goes to a new file in
    `logs` at each start.
    """

    def __init__(self, binaries: Path, data: Path, logs: Path, user: str | None, durable: bool):
        port = free_port()
        self.url = f"postgres://postgres@127.0.0.1:{port}/postgres"
        self.logs = logs
        self.user = user
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            # Without, a power cut loses data; killing the server does not, for the kernel has it.
            "fsync": "on" if durable else "off",
            # Among the data: a crash would leave what is in /dev/shm for ever.
            "dynamic_shared_memory_type": "mmap",
        }
        self.command = [str(binaries / "postgres"), "-D", str(data), "-p", str(port)]
        self.command += [f"--{name}={value}" for name, value in settings.items()]
        self.start()

    def start(self) -> None:
        """Start the server and return when it answers; fail with its output if it never does."""
        log = self.logs / f"postgres-{len(list(self.logs.glob('postgres-*.log')))}.log"
        self.process = Process(self.command, {}, log, self.user)
        self.process.wait_for("ready to accept connections")

    def stop(self, how: Stop = "fast") -> None:
        """End the server, if it runs, and return when all of its processes are gone.

        `fast` cuts connections off and shuts down in order; `immediate` leaves the shutdown out, so
        that the next start recovers; `crash` is a `kill -9` of every process, as in a power cut.
        """
        if self.process.popen.poll() is not None:
            return
        server = psutil.Process(self.process.pid)
        if how == "crash":
            server.suspend()  # it must not start another child meanwhile
        children = server.children(recursive=True)
        if how == "crash":
            self.process.kill()
            for child in children:
                with suppress(psutil.NoSuchProcess):
                    child.kill()
        else:
            server.send_signal(signal.SIGINT if how == "fast" else signal.SIGQUIT)
            self.process.popen.wait(PATIENCE)
        wait_until(lambda: all(has_ended(child) for child in children), "PostgreSQL has ended")

    def new_database(self, name: str = "", template: str = "template1") -> str:
        """Make a database, a copy of `template`; return its DATABASE_URL."""
        name = name or f"tests_{secrets.token_hex(4)}"
        with psycopg.connect(self.url, autocommit=True) as connection:
            # Names of our own making: a statement of this kind takes no parameters.
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
        return f"{self.url.rpartition('/')[0]}/{name}"

    def restart(self, how: Stop = "fast") -> None:
        """Stop the server as `how` says and start it again, at the same address."""
        self.stop(how)
        self.start()


def has_ended(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.status() == psutil.STATUS_ZOMBIE
    return True


@contextmanager
def running_postgres(logs: Path, *, durable: bool = False) -> Iterator[Postgres]:
    """Run a PostgreSQL server of its own, with its output in the directory `logs`.

    With `durable` each commit reaches the disk, as in production; without, tests are quicker.
    Raises `StackError` where no server can run, with what is missing.
    """
    user = ordinary_user()
    # Not below pytest's directories: other users than ours cannot get into these.
    with TemporaryDirectory(prefix="postgres-", dir="/tmp") as name:
        home = Path(name)
        give(home, user)
        binaries = find_binaries(home, user)
        run_initdb(binaries, home / "data", user, "--auth=trust", "--no-sync")
        postgres = Postgres(binaries, home / "data", logs, user, durable)
        try:
            yield postgres
        finally:
            postgres.stop()
