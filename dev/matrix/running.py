"""Makes the environment of a cell and runs the tests in it."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from dev.matrix.cells import ROOT, Cell

UV = Path(sys.executable).with_name("uv")
# The smokehouse, which stays on 6.0 for now, has its mail settings as that wants them.
WARNINGS = ("-W", "ignore:The EMAIL_:PendingDeprecationWarning")
STOP_SECONDS = 60.0  # that tests have to end what they started

type Tell = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """What came of a cell.

    Attributes:
        versions: of Python and Django, as installed.
        seconds: that the tests took.
        note: why there are no counts, or "".
    """

    cell: Cell
    versions: str = ""
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    note: str = ""

    @property
    def well(self) -> bool:
        return not self.note and not self.failed and self.passed > 0


class CannotInstall(Exception):
    """An environment could not be made; the cell's log says why."""


class Room:
    """The folder of a cell: its environment, which is kept for the next time, and its log."""

    def __init__(self, cell: Cell, directory: Path) -> None:
        self.cell = cell
        self.directory = directory / cell.name.replace("/", "-")
        self.directory.mkdir(parents=True, exist_ok=True)
        self.python = self.directory / "venv" / "bin" / "python"
        self.log = self.directory / "log"
        self.log.write_text("")

    def install(self, requirements: Path) -> None:
        """Make the environment. Raises CannotInstall."""
        overrides = self.directory / "overrides"
        overrides.write_text(f"{self.cell.requirement}\n")
        self._uv(
            *("venv", "--quiet", "--allow-existing", "--python", self.cell.interpreter),
            str(self.directory / "venv"),
        )
        self._uv(
            *("pip", "install", "--quiet", "--exact", "--python", str(self.python)),
            *("--requirements", str(requirements), "--overrides", str(overrides)),
            *("--upgrade-package", "django"),
        )

    def versions(self) -> str:
        """Return which Python and Django are installed."""
        code = (
            "import platform, django;"
            " print(f'Python {platform.python_version()}, Django {django.__version__}')"
        )
        return subprocess.check_output([str(self.python), "-c", code], text=True).strip()

    def test(self, options: Sequence[str], limit: float, tell: Tell) -> Outcome:
        """Run pytest with `options`, for `limit` seconds at most; return what came of it."""
        report = self.directory / "junit.xml"
        report.unlink(missing_ok=True)
        command = [str(self.python), "-m", "pytest", *WARNINGS, *options]
        command += ["-p", "no:cacheprovider", f"--junitxml={report}"]
        versions = self.versions()
        began = time.monotonic()
        with self.log.open("a") as log:
            log.write(f"{versions}\n$ {' '.join(command)}\n")
            log.flush()
            in_time = watched(command, log.fileno(), limit, lambda: tell(self.percent()))
        seconds = time.monotonic() - began
        if not in_time:
            note = f"not done within {limit:g} s"
            return Outcome(self.cell, versions, seconds=seconds, note=note)
        if not report.exists():
            note = "pytest ended without a report"
            return Outcome(self.cell, versions, seconds=seconds, note=note)
        return counted(self.cell, versions, seconds, report)

    def percent(self) -> str:
        """Return how far the tests are, as pytest writes it."""
        seen = re.findall(r"\[ *(\d+%)\]", self.log.read_text(errors="replace"))
        return seen[-1] if seen else "0%"

    def _uv(self, *arguments: str) -> None:
        with self.log.open("a") as log:
            log.write(f"$ uv {' '.join(arguments)}\n")
            log.flush()
            done = subprocess.run([str(UV), *arguments], stderr=log, stdout=log, check=False)
        if done.returncode:
            raise CannotInstall


def exported(directory: Path) -> Path:
    """Write all that uv.lock names, with its versions, into a file; return its path."""
    path = directory / "requirements"
    command = [str(UV), "export", "--quiet", "--locked", "--no-emit-project", "--no-hashes"]
    command += ["--no-annotate", "--no-header", "--output-file", str(path)]
    command += ["--python", sys.executable]
    subprocess.run(command, cwd=ROOT, check=True)
    return path


def watched(command: list[str], output: int, limit: float, look: Callable[[], None]) -> bool:
    """Run a command to its end, looking at it every second; return whether it ended in time."""
    deadline = time.monotonic() + limit
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        process_group=0,  # Ctrl-C reaches it once, from here: a second would cut its cleaning up
    ) as running:
        try:
            while time.monotonic() < deadline:
                try:
                    running.wait(1)
                except subprocess.TimeoutExpired:
                    look()
                else:
                    return True
            return False
        finally:
            end(running)


def end(running: subprocess.Popen[bytes]) -> None:
    """End pytest as Ctrl-C does, so that it ends what it started; kill it if it does not."""
    if running.poll() is None:
        running.send_signal(signal.SIGINT)
        try:
            running.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            running.kill()


def counted(cell: Cell, versions: str, seconds: float, report: Path) -> Outcome:
    """Return the outcome that a JUnit report tells of."""
    suites = list(ElementTree.parse(report).getroot().iter("testsuite"))  # noqa: S314 - our own

    def count(name: str) -> int:
        return sum(int(suite.get(name, 0)) for suite in suites)

    failed = count("failures") + count("errors")
    skipped = count("skipped")
    return Outcome(cell, versions, count("tests") - failed - skipped, failed, skipped, seconds)
