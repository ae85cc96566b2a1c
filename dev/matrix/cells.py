"""Which cells the matrix has: what pyproject.toml promises, and what is newer."""

import os
import re
import shutil
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
NEXT = "next"
NEWEST_PYTHON = 20  # 3.20: no later one is looked for


class NoSuchCell(Exception):
    """A name that is given to ONLY is that of no cell."""


@dataclass(frozen=True)
class Cell:
    """One environment of the matrix.

    Attributes:
        python: the minor version, such as "3.13".
        interpreter: a path to such a Python; where none was found the version, for uv to fetch.
        django: the minor version, or "next" for the newest pre-release.
        requirement: what is installed for that.
        may_fail: whether the matrix is well although this cell is not.
    """

    python: str
    interpreter: str
    django: str
    requirement: str
    may_fail: bool

    @property
    def name(self) -> str:
        return f"{self.python}/{self.django}"


def all_cells() -> list[Cell]:
    """Return the cells of this machine, oldest first."""
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    pythons = promised(classifiers, "Python")
    djangos = {
        f"{major}.{minor}": f"django>={major}.{minor},<{following(major, minor)}"
        for major, minor in promised(classifiers, "Django")
    }
    major, minor = max(promised(classifiers, "Django"))
    djangos[NEXT] = f"django>={following(major, minor)}a0"
    return [
        Cell(
            f"3.{python}",
            path,
            django,
            requirement,
            may_fail=django == NEXT or (3, python) not in pythons,
        )
        for (python, path), (django, requirement) in product(interpreters(pythons), djangos.items())
    ]


def chosen(cells: list[Cell], only: str) -> list[Cell]:
    """Return the cells that `only` names, parted by commas or spaces; all for "".

    Raises NoSuchCell.
    """
    names = re.split(r"[\s,]+", only.strip()) if only.strip() else []
    by_name = {cell.name: cell for cell in cells}
    for name in names:
        if name not in by_name:
            raise NoSuchCell(f"{name!r} is no cell: there are {', '.join(by_name)}.")
    return [by_name[name] for name in dict.fromkeys(names)] if names else cells


def promised(classifiers: Iterable[str], what: str) -> list[tuple[int, int]]:
    """Return the versions that `classifiers` name, in order."""
    versions = re.compile(rf"\w+(?: \w+)* :: {what} :: (\d+)\.(\d+)")
    found = filter(None, map(versions.fullmatch, classifiers))
    return sorted((int(match[1]), int(match[2])) for match in found)


def following(major: int, minor: int) -> str:
    """Return Django's version after that one: x.2 is the last of its kind."""
    return f"{major + 1}.0" if minor == 2 else f"{major}.{minor + 1}"


def interpreters(versions: list[tuple[int, int]]) -> Iterator[tuple[int, str]]:
    """Yield each minor version that is promised, and what is newer on this machine."""
    newest = max(versions)[1]
    for minor in [minor for _, minor in versions] + [*range(newest + 1, NEWEST_PYTHON + 1)]:
        path = found(minor)
        if path or minor <= newest:
            yield minor, path or f"3.{minor}"


def found(minor: int) -> str | None:
    """Return a Python of that version: in pyenv's versions, among uv's own, on PATH."""
    places = [
        Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions",
        Path(os.environ.get("UV_PYTHON_INSTALL_DIR", Path.home() / ".local/share/uv/python")),
    ]
    for place in places:
        for pattern in (f"3.{minor}.*", f"cpython-3.{minor}.*"):
            for path in sorted(place.glob(f"{pattern}/bin/python"), reverse=True):
                return str(path)
    on_path = shutil.which(f"python3.{minor}")
    return None if on_path is None or "shims" in Path(on_path).parts else on_path
