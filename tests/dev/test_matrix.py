"""`make matrix`: which cells there are, and what is said of them."""

import subprocess
import sys
from pathlib import Path

import pytest

from dev.matrix.__main__ import SLOW_TESTS, TESTS, failed, print_table
from dev.matrix.cells import Cell, NoSuchCell, all_cells, chosen, following, promised
from dev.matrix.running import CannotInstall, Outcome, Room, counted, watched
from tests.conftest import ROOT

CLASSIFIERS = [
    "Framework :: Django",
    "Framework :: Django :: 6.1",
    "Framework :: Django :: 6.0",
    "Programming Language :: Python :: 3 :: Only",
    "Programming Language :: Python :: 3.12",
]
CELL = Cell("3.13", sys.executable, "6.1", "django>=6.1,<6.2", may_fail=False)
NEXT = Cell("3.13", sys.executable, "next", "django>=6.2a0", may_fail=True)
REPORT = """<testsuites><testsuite tests="10" failures="2" errors="1" skipped="3" /></testsuites>"""


def test_cells_are_what_the_classifiers_promise() -> None:
    assert promised(CLASSIFIERS, "Django") == [(6, 0), (6, 1)]
    assert promised(CLASSIFIERS, "Python") == [(3, 12)]


def test_each_promised_python_meets_each_promised_django() -> None:
    names = {cell.name for cell in all_cells() if not cell.may_fail}
    assert names == {"3.12/6.0", "3.12/6.1", "3.13/6.0", "3.13/6.1"}


def test_the_pre_release_may_fail() -> None:
    assert {cell.django for cell in all_cells() if cell.python == "3.13" and cell.may_fail} == {
        "next"
    }


def test_djangos_versions_follow_each_other() -> None:
    assert [following(6, 1), following(6, 2)] == ["6.2", "7.0"]


@pytest.mark.parametrize(
    ("only", "names"),
    [
        ("", ["3.13/6.1", "3.13/next"]),
        ("3.13/next", ["3.13/next"]),
        ("3.13/next, 3.13/6.1", ["3.13/next", "3.13/6.1"]),
        ("3.13/6.1 3.13/6.1", ["3.13/6.1"]),
    ],
)
def test_only_chooses(only: str, names: list[str]) -> None:
    assert [cell.name for cell in chosen([CELL, NEXT], only)] == names


def test_a_name_of_no_cell_is_refused() -> None:
    with pytest.raises(NoSuchCell, match=r"'3\.11/6\.1' is no cell: there are 3\.13/6\.1"):
        chosen([CELL, NEXT], "3.11/6.1")


def test_the_command_refuses_it_too() -> None:
    command = [sys.executable, "-m", "dev.matrix", "--only", "3.11/4.2"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("make matrix: '3.11/4.2' is no cell: there are 3.12/6.0,")


@pytest.mark.parametrize("path", SLOW_TESTS)
def test_what_the_quick_one_leaves_out_is_there(path: str) -> None:
    assert (ROOT / TESTS / path).exists()


def test_what_pytest_reports_is_counted(tmp_path: Path) -> None:
    report = tmp_path / "junit.xml"
    report.write_text(REPORT)
    outcome = counted(CELL, "", 1.5, report)
    assert (outcome.passed, outcome.failed, outcome.skipped) == (4, 3, 3)
    assert not outcome.well


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Outcome(CELL, passed=5, skipped=1), False),
        (Outcome(CELL, passed=5, failed=1), True),
        (Outcome(CELL), True),  # that nothing was tried is no success
        (Outcome(CELL, passed=5, note="not done within 5 s"), True),
        (Outcome(NEXT, note="no pre-release that installs"), False),
    ],
)
def test_whether_the_matrix_is_well(outcome: Outcome, expected: bool) -> None:
    assert failed([Outcome(CELL, passed=1), outcome]) is expected


def test_an_environment_that_cannot_be_made_leaves_a_log(tmp_path: Path) -> None:
    cell = Cell("3.13", str(tmp_path / "nowhere"), "6.1", "django>=6.1,<6.2", may_fail=False)
    room = Room(cell, tmp_path)
    with pytest.raises(CannotInstall):
        room.install(tmp_path / "requirements")
    assert "error: No interpreter found" in room.log.read_text()


def test_what_takes_too_long_is_ended(tmp_path: Path) -> None:
    looks: list[int] = []
    endless = [sys.executable, "-c", "while True: pass"]
    with (tmp_path / "log").open("w") as log:
        assert not watched(endless, log.fileno(), 1.5, lambda: looks.append(1))
    assert looks


def test_the_table_names_versions_and_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([Outcome(CELL, "Django 6.1.3", 4, 1, 2, 9.6), Outcome(NEXT, note="none yet")])
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[2:]]
    assert rows[0] == ["3.13/6.1", "4", "1", "2", "10", "Django", "6.1.3"]
    assert " ".join(rows[1][5:]) == "none yet; may fail"
