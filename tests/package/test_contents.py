"""What is in the wheel and the sdist: all of the package, and nothing else."""

import tarfile
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.package.conftest import Distributions

NEEDED = [
    "hybrid_tasks/py.typed",
    "hybrid_tasks/migrations/0001_outbox.py",
    "hybrid_tasks/management/commands/relay_outbox.py",
    "hybrid_tasks/static/hybrid_tasks/outbox.css",
    "hybrid_tasks/templates/hybrid_tasks/outbox_change_form.html",
]


def sources() -> set[str]:
    """Return the files of the package in the checkout."""
    paths = (ROOT / "hybrid_tasks").rglob("*")
    return {
        str(path.relative_to(ROOT))
        for path in paths
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture(scope="module")
def in_wheel(built: Distributions) -> set[str]:
    return set(zipfile.ZipFile(built.wheel).namelist())


@pytest.fixture(scope="module")
def metadata(built: Distributions) -> Message:
    wheel = zipfile.ZipFile(built.wheel)
    (path,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    return Parser().parsestr(wheel.read(path).decode())


@pytest.mark.parametrize("path", NEEDED)
def test_what_is_needed_is_inside(path: str, in_wheel: set[str]) -> None:
    assert path in in_wheel


def test_the_wheel_holds_the_package_alone(in_wheel: set[str], built: Distributions) -> None:
    info = f"{'-'.join(built.wheel.name.split('-')[:2])}.dist-info/"
    packed = {name for name in in_wheel if not name.startswith(info) and not name.endswith("/")}
    assert packed == sources()
    assert f"{info}licenses/LICENSE" in in_wheel


def test_the_sdist_holds_what_the_wheel_is_built_from(built: Distributions) -> None:
    with tarfile.open(built.sdist) as sdist:
        names = [Path(member.name) for member in sdist.getmembers() if member.isfile()]
    besides = {
        "pyproject.toml",
        "pyproject.toml.orig",
        "PKG-INFO",
        "LICENSE",
        *(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*") if path.is_file()),
    }
    assert {str(Path(*name.parts[1:])) for name in names} == sources() | besides


def test_what_an_index_shows_leads_nowhere_that_is_not_there(metadata: Message) -> None:
    """Links to files work in a checkout only."""
    assert metadata.get("Description-Content-Type", "").startswith("text/markdown")
    shown = str(metadata.get_payload())
    assert "# hybrid_tasks" in shown
    assert "](" not in shown


def test_it_is_pure_python(built: Distributions) -> None:
    assert built.wheel.name.endswith("-py3-none-any.whl")


def test_it_asks_for_django_asgiref_and_orjson_only(metadata: Message) -> None:
    asked: list[str] = metadata.get_all("Requires-Dist", [])
    always = {one.split(">")[0].strip() for one in asked if "extra ==" not in one}
    assert always == {"asgiref", "django", "orjson"}


def test_all_else_is_an_extra(metadata: Message) -> None:
    extras: list[str] = metadata.get_all("Provides-Extra", [])
    assert set(extras) == {"celery", "redis", "postgres", "mysql"}


@pytest.mark.parametrize("version", ["6.0", "6.1"])
def test_it_says_which_django_it_runs_on(version: str, metadata: Message) -> None:
    classifiers: list[str] = metadata.get_all("Classifier", [])
    assert f"Framework :: Django :: {version}" in classifiers
