"""What a type checker tells whoever uses tasks: real mypy and real pyright, on the same files.

`cases/accepted.py` must pass, and the lines of `cases/refused.py` must be refused that say so.
"""

import json
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import BIN, ROOT

ACCEPTED = Path(__file__).parent / "cases" / "accepted.py"
REFUSED = ACCEPTED.with_name("refused.py")
CACHES = ROOT / ".mypy_cache" / "cases"  # of the checker, and not what the tests of it found

SETTINGS = """
[mypy]
strict = true
python_version = 3.12
follow_imports = silent
"""
PLUGIN = """
plugins = mypy_django_plugin.main
[mypy.plugins.django-stubs]
django_settings_module = tests.settings
"""

type Codes = dict[int, set[str]]  # by line
type Checker = Callable[[Path, Path], Codes]


def mypy(case: Path, directory: Path, plugin: str) -> Codes:
    settings = directory / "mypy.ini"
    settings.write_text(SETTINGS + plugin)
    cache = CACHES / ("with-plugin" if plugin else "plain")
    options = f"--config-file {settings} --cache-dir {cache} --output json --no-error-summary"
    run = subprocess.run(
        [sys.executable, "-m", "mypy", *options.split(), str(case)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode in (0, 1), run.stdout + run.stderr
    found: Codes = defaultdict(set)
    for one in map(json.loads, run.stdout.splitlines()):
        if one["severity"] == "error":
            assert (ROOT / one["file"]).resolve() == case, one
            found[one["line"]].add(one["code"])
    return found


def mypy_with_plugin(case: Path, directory: Path) -> Codes:
    return mypy(case, directory, PLUGIN)


def mypy_alone(case: Path, directory: Path) -> Codes:
    return mypy(case, directory, "")


def pyright(case: Path, directory: Path) -> Codes:
    settings = directory / "pyrightconfig.json"
    settings.write_text(
        json.dumps(
            {
                "include": [str(case)],
                "extraPaths": [str(ROOT)],
                # Strict refuses in wrong lines what follows from their error, too.
                "typeCheckingMode": "standard" if case == REFUSED else "strict",
                "pythonVersion": "3.12",
            }
        )
    )
    run = subprocess.run(
        [BIN / "basedpyright", "--outputjson", "--pythonpath", sys.executable, "-p", settings],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode in (0, 1), run.stdout + run.stderr
    told = json.loads(run.stdout)
    assert told["summary"]["filesAnalyzed"] == 1
    found: Codes = defaultdict(set)
    for one in told["generalDiagnostics"]:
        if one["severity"] == "error":
            found[one["range"]["start"]["line"] + 1].add(one["rule"])
    return found


checkers = pytest.mark.parametrize("checker", [mypy_with_plugin, mypy_alone, pyright])


def expected(case: Path, *, rules: bool) -> Codes:
    """Return what each line of a case expects: pyright's rules, or mypy's codes."""
    found: Codes = {}
    for number, line in enumerate(case.read_text().splitlines(), start=1):
        if marked := re.search(r"# expect: (.+)$", line):
            words = marked[1].split()
            found[number] = {word for word in words if word.startswith("report") is rules}
            assert found[number], line
    return found


@checkers
def test_what_is_right_is_accepted(checker: Checker, tmp_path: Path) -> None:
    wanted = expected(ACCEPTED, rules=checker is pyright)
    assert checker(ACCEPTED, tmp_path) == wanted == {}


@checkers
def test_what_is_wrong_is_refused_in_its_line(checker: Checker, tmp_path: Path) -> None:
    wanted = expected(REFUSED, rules=checker is pyright)
    assert len(wanted) > 30
    assert checker(REFUSED, tmp_path) == wanted
