"""The database of the development stack: a PostgreSQL server of its own, for DATABASE=postgres."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import NoReturn

from dev.postgres.programs import find_binaries, run_initdb
from dev.prepare import postgres_password
from dev.stack import HOST, Stack, StackError, listens
from dev.users import become, give, identity, ordinary_user

PATIENCE = 60.0  # seconds that the server may take to start; recovering takes longest


def make_cluster(stack: Stack) -> None:
    """Make VAR_DIR/postgres/data, unless it is there. Raises StackError."""
    home, user = own_home(stack)
    binaries = find_binaries(home, user)
    data = home / "data"
    if data.exists():
        refuse_other_version(data, binaries, user)
        return
    # Renamed when all of it is there: a cluster that was interrupted is none.
    unfinished = home / "data.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    with NamedTemporaryFile("w", dir=home) as file:
        file.write(postgres_password(stack))
        file.flush()
        give(Path(file.name), user)
        run_initdb(binaries, unfinished, user, "--auth=scram-sha-256", f"--pwfile={file.name}")
    unfinished.rename(data)


def own_home(stack: Stack) -> tuple[Path, str | None]:
    """Return the directory for programs and data, and whose it is. Raises StackError."""
    try:
        user = ordinary_user()
    except LookupError as error:
        raise StackError(
            f"PostgreSQL refuses to run as root ({error}): start as another user, or set"
            " DATABASE_URL to a server that runs elsewhere."
        ) from error
    home = stack.var_dir / "postgres"
    home.mkdir(parents=True, exist_ok=True)
    if user is not None:
        shutil.chown(home, user)
        refuse_closed(home, user)
    return home, user


def refuse_closed(home: Path, user: str | None) -> None:
    """Raise StackError if `user` cannot write into `home`."""
    done = subprocess.run(["test", "-w", str(home)], check=False, **identity(user))  # noqa: S607
    if done.returncode:
        raise StackError(
            f"PostgreSQL refuses to run as root, and {user}, whom it runs as instead, cannot get"
            f" into {home}: start as another user, or set VAR_DIR to a directory open to all."
        )


def refuse_other_version(data: Path, binaries: Path, user: str | None) -> None:
    """Raise StackError if another major version has made `data`: this one would not start."""
    made_by = (data / "PG_VERSION").read_text().strip()
    command = [str(binaries / "postgres"), "--version"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, **identity(user))
    installed = done.stdout.split()[-1].partition(".")[0]
    if made_by != installed:
        raise StackError(
            f"{data} was made by PostgreSQL {made_by}, and {installed} is installed:"
            " dump it with the old one and move it away, or only move it away to begin anew."
        )


def postgres_command(stack: Stack) -> tuple[list[str], str | None]:
    """Return the command of the server, and whom it runs as. Raises StackError."""
    home, user = own_home(stack)
    settings = {"listen_addresses": HOST, "unix_socket_directories": ""}
    command = [str(find_binaries(home, user) / "postgres"), "-D", str(home / "data")]
    command += ["-p", str(stack.ports["POSTGRES_PORT"])]
    return command + [f"--{name}={value}" for name, value in settings.items()], user


@contextmanager
def running_postgres(stack: Stack) -> Iterator[None]:
    """Run the server for the time of a block, before the parts start. Raises StackError."""
    command, user = postgres_command(stack)
    log = stack.var_dir / "postgres.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # not for Ctrl-C to end, but for us
            **identity(user),
        )
    try:
        wait_for(server, stack.ports["POSTGRES_PORT"], log)
        yield
    finally:
        server.send_signal(signal.SIGINT)  # fast: nobody is waited for
        server.wait()


def wait_for(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not listens(port) or "ready to accept connections" not in log.read_text():
        if server.poll() is not None or time.monotonic() > deadline:
            words = " ".join(log.read_text().split("\n")[-4:]).strip()
            raise StackError(f"PostgreSQL does not start; {log} says why: {words}")
        time.sleep(0.05)


def become_postgres(stack: Stack) -> NoReturn:
    """Replace this process by a PostgreSQL server that keeps its data under VAR_DIR/postgres."""
    command, user = postgres_command(stack)
    become(user)
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted
