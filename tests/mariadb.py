"""A real MariaDB server for tests: its own data, thrown away at the end."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import pytest

from dev.users import identity
from tests.postgres import give, ordinary_user
from tests.processes import PATIENCE, Process, free_port

type Stop = Literal["fast", "crash"]

MISSING = (
    "{} is not installed: apt-get install mariadb-server libmariadb-dev gcc pkg-config, then"
    " make mysql"
)


class MariaDB:
    """One server on 127.0.0.1, where anybody is let in as `tests`.

    `url` is its DATABASE_URL, which a restart does not change. Its output goes to a new file in
    `logs` at each start.
    """

    def __init__(self, server: str, home: Path, logs: Path, user: str | None, options: list[str]):
        self.port = free_port()
        self.url = f"mysql://tests@127.0.0.1:{self.port}/tests"
        self.logs = logs
        self.user = user
        settings = {
            "datadir": home / "data",
            "tmpdir": home,
            "socket": home / "socket",
            "pid-file": home / "pid",
            "bind-address": "127.0.0.1",
            "port": self.port,
            # Killing the server loses nothing, for the kernel has it; a power cut would.
            "innodb-flush-log-at-trx-commit": 2,
            "innodb-buffer-pool-size": "64M",
            "max-connections": 500,
            # Half a world away from UTC, by which nothing of ours may be misled.
            "default-time-zone": "-09:30",
        }
        self.command = [server, "--no-defaults", "--skip-grant-tables", "--skip-name-resolve"]
        self.command += [f"--{name}={value}" for name, value in settings.items()]
        self.command += options
        self.start()

    def start(self) -> None:
        """Start the server and return when it answers; fail with its output if it never does."""
        log = self.logs / f"mariadb-{len(list(self.logs.glob('mariadb-*.log')))}.log"
        self.process = Process(self.command, {}, log, self.user)
        self.process.wait_for("ready for connections")

    def stop(self, how: Stop = "fast") -> None:
        """End the server, if it runs; `crash` is a `kill -9`, after which it recovers."""
        if self.process.popen.poll() is not None:
            return
        self.process.popen.send_signal(signal.SIGTERM if how == "fast" else signal.SIGKILL)
        self.process.popen.wait(PATIENCE)

    def restart(self, how: Stop = "fast") -> None:
        """Stop the server as `how` says and start it again, at the same address."""
        self.stop(how)
        self.start()

    def hang(self) -> None:
        """Let the server answer nobody, until it is told to go on."""
        self.process.popen.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.popen.send_signal(signal.SIGCONT)

    def execute(self, statement: str) -> list[tuple[object, ...]]:
        """Execute a statement as a client of its own; return the rows that it gives."""
        import MySQLdb

        connection = MySQLdb.connect(
            host="127.0.0.1", port=self.port, user="tests", autocommit=True
        )
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return list(cursor.fetchall())
        finally:
            connection.close()


def required_server() -> str:
    """Return the path of the server, or skip the test; in CI it must be there."""
    server = shutil.which("mariadbd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    missing = "mariadbd" if server is None else "mysqlclient"
    if server is None or find_spec("MySQLdb") is None:
        if os.environ.get("CI"):
            pytest.fail(MISSING.format(missing))
        pytest.skip(MISSING.format(missing))
    return server


@contextmanager
def running_mariadb(logs: Path, *options: str) -> Iterator[MariaDB]:
    """Run a MariaDB server of its own, with its output in the directory `logs`.

    `options` are the server's.
    """
    server = required_server()
    user = ordinary_user()
    # Not below pytest's directories: other users than ours cannot get into these.
    with TemporaryDirectory(prefix="mariadb-", dir="/tmp") as name:
        home = Path(name)
        give(home, user)
        install(home / "data", user)
        mariadb = MariaDB(server, home, logs, user, list(options))
        try:
            mariadb.execute("CREATE DATABASE tests")
            yield mariadb
        finally:
            mariadb.process.kill()


def install(data: Path, user: str | None) -> None:
    command = ["mariadb-install-db", "--no-defaults", f"--datadir={data}", "--skip-test-db"]
    command += ["--auth-root-authentication-method=normal"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, **identity(user))
    if done.returncode:
        raise RuntimeError(f"mariadb-install-db failed:\n{done.stdout}{done.stderr}")
