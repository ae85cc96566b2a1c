"""make run: all parts of the system, in one terminal."""

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from honcho.environ import parse_procfile

from dev.manager import OrderlyManager
from dev.prepare import prepare_database, prepare_files
from dev.stack import BASE_DIR, Stack, StackError


def up(stack: Stack) -> int:
    """Run the stack until a signal or the end of one of its parts; return the exit code.

    Raises StackError when it cannot start.
    """
    os.chdir(BASE_DIR)
    prepare_files(stack)
    with only_stack_in(stack):
        stack.refuse_taken_ports()
        os.environ |= stack.environment()
        print(f"Preparing the database ({os.environ.get('DATABASE_URL') or stack.var_dir}) ...")
        password = prepare_database()
        return run_parts(stack, password)


@contextmanager
def only_stack_in(stack: Stack) -> Iterator[None]:
    """Hold VAR_DIR's lock: two brokers on the same files would ruin them. Raises StackError."""
    with (stack.var_dir / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StackError(
                f"{stack.var_dir} is in use by another 'make run':"
                " stop that one, or set VAR_DIR and the ports for a second copy."
            ) from error
        yield


def run_parts(stack: Stack, admin_password: str | None) -> int:
    """Run what the Procfile names, with the banner beside it; return the exit code."""
    manager = OrderlyManager()
    procfile = parse_procfile((BASE_DIR / "Procfile").read_text())
    for name, command in procfile.processes.items():
        if name != "broker" or stack.own_broker:
            manager.add_process(name, command, env=dict(os.environ))

    # A closed terminal is a request to stop, too.
    signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
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
    stopped_by_signal = manager.returncode in {130, 143}
    return 0 if stopped_by_signal else manager.returncode or 1
