"""Real processes for the tests: started on free ports, watched by their output, always ended."""

import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from dev.users import identity

PATIENCE = 120.0  # seconds that a condition may take on a slow machine
# Systems choose higher ports for outgoing connections: who binds late, or again, would lose them.
PORTS = range(20_000, 32_768)

_given: set[int] = set()


def free_port() -> int:
    """Return a port that is free and that nobody here was given before."""
    while True:
        port = secrets.choice(PORTS)
        if port in _given:
            continue
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            _given.add(port)
            return port


def port_is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(
    condition: Callable[[], object], what: str, seconds: float = PATIENCE, pause: float = 0.05
) -> None:
    """Return as soon as `condition()` is true; fail the test with `what` if it never is."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(pause)


class Process:
    """A program in a session of its own, with its output in a file.

    Used as a context manager it is ended, with all its children, whatever the test does. Only root
    can start it as another `user`.
    """

    def __init__(
        self, command: Sequence[str], env: Mapping[str, str], log: Path, user: str | None = None
    ) -> None:
        self.log = log
        with log.open("wb") as output:
            self.popen = subprocess.Popen(
                command,
                env=os.environ | dict(env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **identity(user),
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        return self.popen.pid

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def lines(self, *having: str) -> list[str]:
        """Return the lines of the output that hold one of `having`, in order."""
        return [line for line in self.output().splitlines() if any(part in line for part in having)]

    def wait_for(self, text: str, times: int = 1, seconds: float = PATIENCE) -> None:
        """Wait until the output holds `text` that often; fail if the program ends before."""
        try:
            wait_until(
                lambda: self.output().count(text) >= times or self.popen.poll() is not None,
                f"{text!r} {times} times in the output of {self.popen.args!r}",
                seconds,
            )
        except AssertionError as error:
            raise AssertionError(f"{error}:\n{self.output()}") from None
        assert self.output().count(text) >= times, f"it ended without {text!r}:\n{self.output()}"

    def stop(self, seconds: float = PATIENCE) -> int:
        """Ask the program to end (SIGTERM); return its exit code."""
        self.popen.terminate()
        return self.popen.wait(timeout=seconds)

    def kill(self) -> None:
        """Kill the program and all of its session that is left."""
        with suppress(ProcessLookupError):  # nothing is left
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()
