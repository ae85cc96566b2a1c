"""How the settings read the environment."""

import fcntl
import json
import os
from pathlib import Path
from typing import Any

from environs import FileAwareEnv, ValidationError
from limits import parse


class Environment(FileAwareEnv):
    """Reads variables, and NAME from the file that NAME_FILE names.

    A variable that is set but empty counts as not set: compose files and .env files that leave a
    choice open set it so.
    """

    def __init__(self) -> None:
        super().__init__(strip_whitespace=True)

    def read_files(self, base_dir: Path) -> None:
        """Add what the environment does not name, from a stack that runs, and else from .env.

        The stack is that of `make run` on the same VAR_DIR. Without, manage.py in another terminal
        would look for its parts where they are not.
        """
        self.read_env(base_dir / ".env", recurse=False)  # below os.environ
        named = {name.removesuffix("_FILE") for name in os.environ}
        for name, value in running_stack(base_dir / self.str("VAR_DIR", "var")).items():
            if name.removesuffix("_FILE") not in named:
                os.environ[name] = value

    def _get_value(self, env_key: str, default: Any) -> Any:
        value = super()._get_value(env_key, default)
        return default if value == "" else value


def running_stack(var_dir: Path) -> dict[str, str]:
    """Return the variables of the stack that runs on `var_dir`; none if none runs.

    A stack holds the lock as long as one of its processes lives; the file may be left of one that
    was killed.
    """
    if not is_locked(var_dir / "lock"):
        return {}
    try:
        variables: dict[str, str] = json.loads((var_dir / "stack.json").read_text())
    except FileNotFoundError:  # it is starting or stopping
        return {}
    return variables


def is_locked(path: Path) -> bool:
    try:
        lock = path.open()
    except OSError:
        return False
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def check_rate(rate: str) -> None:
    """Raise ValidationError unless `limits` can read a rate."""
    try:
        parse(rate)
    except ValueError:
        raise ValidationError(f"{rate!r} is no rate: write it as 30/minute or 2/hour.") from None
