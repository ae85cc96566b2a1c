"""Tells others on this machine of the stack that runs: manage.py finds its ports and addresses.

Whether it runs is told by the lock, which ends with the last of its processes, and not by the file,
which outlives a kill -9. `project.environment` reads both.
"""

import fcntl
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

from dev.stack import BASE_DIR, Stack, StackError

PATIENCE = 1.0  # seconds; who asks whether a stack runs holds the lock for an instant


@contextmanager
def only_stack_in(stack: Stack) -> Iterator[None]:
    """Hold VAR_DIR's lock: two brokers on the same files would ruin them. Raises StackError."""
    with (stack.var_dir / "lock").open("w") as lock:
        deadline = time.monotonic() + PATIENCE
        while not take(lock.fileno()):
            if time.monotonic() > deadline:
                raise StackError(
                    f"{stack.var_dir} is in use by another 'make run':"
                    " stop that one, or set VAR_DIR and the ports for a second copy."
                )
            time.sleep(0.05)
        # What one left behind that was killed is not about us.
        (stack.var_dir / "stack.json").unlink(missing_ok=True)
        yield


def take(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def announced(stack: Stack) -> Iterator[None]:
    """Keep in VAR_DIR/stack.json what this environment says of what .env.example lists.

    Only its owner may read it: addresses hold passwords.
    """
    path, unfinished = stack.var_dir / "stack.json", stack.var_dir / "stack.json.new"
    unfinished.unlink(missing_ok=True)
    listed = re.findall(r"(?m)^# ([A-Z_]+)=", (BASE_DIR / ".env.example").read_text())
    names = {*listed, *(f"{name}_FILE" for name in listed)} - {"VAR_DIR"}
    values = {name: os.environ[name] for name in sorted(names) if os.environ.get(name)}
    unfinished.touch(mode=0o600)
    unfinished.write_text(json.dumps(values, indent=1))
    unfinished.rename(path)  # nobody reads half of it
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
