"""make run: all parts of the system, in one terminal."""

import os
import signal
import subprocess
import sys

from honcho.environ import parse_procfile

from dev.announcement import announced, only_stack_in
from dev.manager import OrderlyManager
from dev.masking import masked
from dev.postgres.server import make_cluster, running_postgres
from dev.prepare import postgres_url, prepare_database, prepare_files
from dev.stack import BASE_DIR, Stack


def up(stack: Stack) -> int:
    """Run the stack until a signal, or until a part dies again and again; return the exit code.

    Raises StackError when it cannot start.
    """
    os.chdir(BASE_DIR)
    # Until the manager takes over: what was begun here is ended here. A closed terminal is a
    # request to stop, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    prepare_files(stack)
    with only_stack_in(stack):
        stack.refuse_taken_ports()
        if stack.own_postgres:
            os.environ["DATABASE_URL"] = postgres_url(stack)
        os.environ |= stack.environment()
        password = prepare(stack)
        with announced(stack):
            return run_parts(stack, password)


def prepare(stack: Stack) -> str | None:
    """Prepare the database, with a server of its own if the stack has one; as prepare_database."""
    where = masked(os.environ.get("DATABASE_URL") or f"sqlite:///{stack.var_dir}/db.sqlite3")
    print(f"Preparing the database ({where}) ...", flush=True)
    if not stack.own_postgres:
        return prepare_database()
    make_cluster(stack)
    with running_postgres(stack):
        return prepare_database()


def run_parts(stack: Stack, admin_password: str | None) -> int:
    """Run what the Procfile names, with the banner beside it; return the exit code."""
    manager = OrderlyManager(stack.servers())
    procfile = parse_procfile((BASE_DIR / "Procfile").read_text())
    for name, command in procfile.processes.items():
        if stack.starts(name):
            manager.add_process(name, command, env=dict(os.environ))

    banner = subprocess.Popen(
        [sys.executable, "-m", "dev", "banner"],
        env=os.environ | {"ADMIN_PASSWORD": admin_password or ""},
        start_new_session=True,
    )
    try:
        manager.loop()
    finally:
        banner.terminate()
        banner.wait()
        manager.kill_all()  # nothing is left to kill unless the loop itself failed
    for last_words in manager.given_up:
        print(f"\nmake run: {last_words}", file=sys.stderr)
    return manager.exit_code()
