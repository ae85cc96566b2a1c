"""A terminal into which the commands of a page are typed, in a folder of its own."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from tests.conftest import BIN
from tests.package.docs.markdown import Block, Command, commands
from tests.processes import Process, free_port, port_is_open, wait_until

UV = str(BIN / "uv")
# What a test run has in its environment, and a reader's terminal has not.
OF_TESTS = {"DJANGO_SETTINGS_MODULE", "PYTHONPATH", "VIRTUAL_ENV"}
PACKAGE = re.compile(r"'?hybrid-tasks(\[[\w,]+\])?'?")
TASK_ID = re.compile(r"\b(?:[0-9a-f]{32}\b|[0-9a-f]{4}…)")


class Terminal:
    """Types what a page says.

    The server gets a port of its own, `pip` is uv's, which is quicker, and `pkill` ends what was
    started here, not what somebody else runs.

    Arguments:
        folder: empty, or a project.
        wheel: of the package, which `pip install` installs.
        more: what it installs besides.
        replaced: what is typed instead of what the page writes, such as the address of a broker.
    """

    def __init__(self, folder: Path, wheel: Path, more: str, replaced: Mapping[str, str]) -> None:
        self.folder = folder
        self.port = free_port()
        self._wheel = wheel
        self._more = more
        self.replaced = {**replaced, "localhost:8000": f"127.0.0.1:{self.port}"}
        self._ids: dict[str, str] = {}
        self._running: list[tuple[str, Process]] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def env(self) -> dict[str, str]:
        theirs = {name: value for name, value in os.environ.items() if name not in OF_TESTS}
        return {**theirs, "PATH": f"{self.folder}/.venv/bin:{os.environ['PATH']}"}

    def type(self, *blocks: Block) -> None:
        """Do with each block what its comment says."""
        for block in blocks:
            self._type(block)

    def running(self, name: str) -> Process:
        """Return the process that was started by a program of that name."""
        (found,) = [process for line, process in self._running if line.startswith(name)]
        return found

    def _type(self, block: Block) -> None:
        if block.kind == "run":
            for command in commands(block.text):
                self._run(command)
            return
        path = self.folder / block.path
        text = self._ours(block.text)
        path.write_text(text if block.kind == "write" else f"{path.read_text()}\n{text}")

    def _ours(self, text: str) -> str:
        for page, ours in self.replaced.items():
            text = text.replace(page, ours)
        return text

    def _run(self, command: Command) -> None:
        line = self._ours(command.line)
        for page, ours in self._ids.items():
            line = line.replace(page, ours)
        if line.startswith("python -m venv"):
            self._call(f"{UV} venv --quiet --python {sys.executable} .venv")
        elif line.startswith("pip install "):
            self._install(line)
        elif line.startswith("pkill -9 -f "):
            self._kill(line.removeprefix("pkill -9 -f "))
        elif line.endswith(" &"):
            self._start(line.removesuffix(" &"))
        elif command.shown:
            self._show(line, command.shown)
        else:
            self._call(line)

    def _call(self, line: str) -> str:
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=self.folder,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{self._logs()}"
        return done.stdout

    def _install(self, line: str) -> None:
        names = line.removeprefix("pip install ")
        names = PACKAGE.sub(rf"'hybrid-tasks\1 @ {self._wheel.as_uri()}'", names)
        self._call(f"{UV} pip install --quiet {names} {self._more}")

    def _start(self, line: str) -> None:
        name = line.split()[0]
        log = self.folder / f"{len(self._running)}-{name}.log"
        if name == "uvicorn":
            line += f" --port {self.port}"
        env = {**self.env, "PWD": str(self.folder), "PYTHONUNBUFFERED": "1"}
        theirs = f"unset {' '.join(OF_TESTS)}; cd {self.folder} && exec {line}"
        process = Process(["bash", "-c", theirs], env, log)
        self._stack.enter_context(process)
        self._running.append((line, process))
        if name == "uvicorn":
            wait_until(lambda: port_is_open(self.port), "the server listens")
        elif name == "celery":
            process.wait_for(" ready.")

    def _kill(self, pattern: str) -> None:
        killed = [process for line, process in self._running if re.search(pattern, line)]
        assert killed, f"nothing runs that is called {pattern}"
        for process in killed:
            process.kill()

    def _show(self, line: str, shown: list[str]) -> None:
        """Run a command until it prints what the page shows, as a reader would try again."""
        wanted = re.compile(pattern("\n".join(shown)))
        printed = ""

        def prints() -> re.Match[str] | None:
            nonlocal printed
            printed = self._call(line).strip()
            return wanted.fullmatch(printed)

        try:
            wait_until(prints, f"{line} prints {wanted.pattern}", pause=0.2)
        except AssertionError as error:
            raise AssertionError(f"{error}, but {printed}\n{self._logs()}") from None
        for page, ours in zip(TASK_ID.findall("\n".join(shown)), TASK_ID.findall(printed)):  # noqa: B905
            self._ids[page] = ours

    def _logs(self) -> str:
        return "\n".join(f"--- {line}\n{process.output()}" for line, process in self._running)


def pattern(shown: str) -> str:
    """Return what output matches that differs in ids and processes alone."""
    numbered = re.sub(r"process \d+", "process NUMBER", shown)
    escaped = re.escape(TASK_ID.sub("TASK", numbered))
    return escaped.replace("TASK", "[0-9a-f]{32}").replace("NUMBER", r"\d+")
