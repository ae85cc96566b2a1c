"""dev/find-python.sh: the way from a bare machine to a Python that can run the project."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

TOO_OLD = "#!/bin/sh\nexit 1\n"


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A home whose PATH has the shell's tools and a python3 that is too old."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "ls"):
        (tools / name).symlink_to(f"/bin/{name}")
    old = tools / "python3"
    old.write_text(TOO_OLD)
    old.chmod(0o755)
    return tmp_path


def find_python(home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", str(ROOT / "dev" / "find-python.sh")],
        env={"PATH": str(home / "bin"), "HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "place", [".pyenv/versions/3.12.9", ".local/share/uv/python/cpython-3.13.1-linux-x86_64-gnu"]
)
def test_finds_one_that_path_does_not_show(place: str, machine: Path) -> None:
    hidden = machine / place / "bin" / "python"
    hidden.parent.mkdir(parents=True)
    hidden.symlink_to(sys.executable)
    assert find_python(machine).stdout.strip() == str(hidden)


def test_says_what_is_missing_in_one_sentence(machine: Path) -> None:
    found = find_python(machine)
    assert found.returncode == 1
    assert found.stdout == ""
    assert found.stderr.startswith("Python 3.12 or later (with its venv module) was not found")
    assert found.stderr.count("\n") == 1
