"""python -m dev.matrix: see the package, or `make matrix`."""

import argparse
import subprocess
import sys
from pathlib import Path

import dev.matrix
from dev.matrix.cells import ROOT, Cell, NoSuchCell, all_cells, chosen
from dev.matrix.running import CannotInstall, Outcome, Room, exported

TESTS = "tests/hybrid_tasks"
# Two thirds of the time go into these: kills, limits, forks, brokers and long lists of values.
SLOW_TESTS = [
    "celery/rabbitmq",
    "closing",
    "contract/test_cancel.py",
    "contract/test_lost.py",
    "contract/test_timeouts.py",
    "contract/unfriendly/test_exceptions.py",
    "contract/unfriendly/test_values.py",
    "forks",
    "outbox/test_command.py",
]
LIMIT_MINUTES = 60.0


def main() -> int:
    given = arguments()
    try:
        cells = chosen(all_cells(), given.only)
    except NoSuchCell as error:
        print(f"make matrix: {error}", file=sys.stderr)
        return 2
    if given.list:
        for cell in cells:
            print(f"{cell.name:<10} {cell.interpreter}  {cell.requirement}")
        return 0
    given.directory.mkdir(parents=True, exist_ok=True)
    left_out = [f"--ignore={TESTS}/{path}" for path in SLOW_TESTS] if given.quick else []
    options = [TESTS, *left_out, *given.options]
    outcomes: list[Outcome] = []
    interrupted = False
    try:
        requirements = exported(given.directory)
        for number, cell in enumerate(cells, 1):
            heading = f"[{number}/{len(cells)}] {cell.name}"
            outcomes.append(run(cell, heading, requirements, given, options))
    except subprocess.CalledProcessError:
        return 2  # uv has said why
    except KeyboardInterrupt:
        interrupted = True
    print_table(outcomes)
    if interrupted:
        return 130
    return int(failed(outcomes))


def failed(outcomes: list[Outcome]) -> bool:
    """Return whether a cell is not well that should be."""
    return any(not one.well and not one.cell.may_fail for one in outcomes)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m dev.matrix", description=dev.matrix.__doc__)
    parser.add_argument("--only", default="", metavar="CELLS", help='such as "3.13/6.1,3.12/6.0"')
    parser.add_argument(
        "--quick", action="store_true", help="leave out what takes long: two minutes"
    )
    parser.add_argument("--list", action="store_true", help="show the cells, and run none")
    parser.add_argument(
        "--minutes",
        type=float,
        default=LIMIT_MINUTES,
        help="that the tests of one cell may take (default: %(default)g)",
    )
    parser.add_argument(
        "--directory",
        type=Path,
        default=ROOT / ".matrix",
        help="for environments and logs (default: %(default)s)",
    )
    parser.add_argument("options", nargs="*", help="for pytest, after --, such as -- -x -k admin")
    return parser.parse_args()


def run(
    cell: Cell, heading: str, requirements: Path, given: argparse.Namespace, options: list[str]
) -> Outcome:
    """Run one cell, telling how far it is."""
    line = Line(heading)
    room = Room(cell, given.directory.resolve())
    line.tell("installing")
    try:
        room.install(requirements)
    except CannotInstall:
        why = "no pre-release that installs" if cell.may_fail else "cannot be installed"
        outcome = Outcome(cell, note=f"{why}, see {room.log}")
    else:
        outcome = room.test(options, given.minutes * 60, lambda how_far: line.tell(how_far))
    counts = f"{outcome.passed} passed, {outcome.failed} failed, {outcome.skipped} skipped"
    line.end(f"{outcome.note or counts} ({outcome.seconds:.0f} s), log in {room.log}")
    return outcome


class Line:
    """A line of progress: written over on a terminal, elsewhere written anew at each tenth."""

    def __init__(self, heading: str) -> None:
        self.heading = heading
        self.last = ""

    def tell(self, text: str) -> None:
        if sys.stdout.isatty():
            print(f"\r{self.heading}  {text:<12}", end="", flush=True)
            return
        tenth = text[:-2] if text.endswith("%") else text
        if tenth != self.last:
            self.last = tenth
            print(f"{self.heading}  {text}", flush=True)

    def end(self, text: str) -> None:
        start = "\r" if sys.stdout.isatty() else ""
        print(f"{start}{self.heading}  {text}", flush=True)


def print_table(outcomes: list[Outcome]) -> None:
    print(f"\n{'cell':<11}{'passed':>8}{'failed':>8}{'skipped':>9}{'seconds':>9}")
    for one in outcomes:
        counts = f"{one.passed:>8}{one.failed:>8}{one.skipped:>9}{one.seconds:>9.0f}"
        remarks = [one.versions, one.note, "may fail" if one.cell.may_fail else ""]
        print(f"{one.cell.name:<11}{counts}  {'; '.join(filter(None, remarks))}")


if __name__ == "__main__":
    sys.exit(main())
