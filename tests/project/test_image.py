"""The production image: what would be installed in it. It is not built here; that needs Docker."""

import re
import subprocess

import pytest

from tests.conftest import BIN, ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
STAGES = re.split(r"(?m)^(?=FROM )", DOCKERFILE)[1:]


@pytest.fixture(scope="module")
def installed() -> set[str]:
    """Return the names of the packages that the Dockerfile's own options choose from the lock."""
    (options,) = re.findall(r"uv sync (.*?)\s+--no-cache", DOCKERFILE)
    command = [str(BIN / "uv"), "export", "--quiet", "--no-hashes", "--no-annotate"]
    command += ["--no-header", *options.split()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return {re.split(r"[=\[;\s]", line)[0] for line in done.stdout.splitlines()}


def test_servers_and_tools_are_not_installed(installed: set[str]) -> None:
    assert {
        "granian",
        "gunicorn",
        "hypercorn",
        "uv",
        "pip",
        "pytest",
        "honcho",
    } & installed == set()
    assert {"django", "uvicorn", "celery", "flower", "psycopg-binary"} <= installed


def test_the_default_groups_without_dev_are_what_the_image_has(installed: set[str]) -> None:
    command = [str(BIN / "uv"), "export", "--quiet", "--no-hashes", "--no-annotate", "--locked"]
    command += ["--no-header", "--no-dev", "--extra", "postgres"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert {re.split(r"[=\[;\s]", line)[0] for line in done.stdout.splitlines()} == installed


def test_what_installs_stays_behind_in_the_first_stage() -> None:
    building, running = STAGES
    assert "pip install" in building
    assert "pip install" not in running
    assert "uv sync" not in running
    assert "pip uninstall" in running
    # From the first stage comes the application alone, to the same place.
    assert re.findall(r"(?m)^COPY (.*)$", running) == ["--from=build /app /app"]
    assert building.splitlines()[0].removesuffix(" AS build") == running.splitlines()[0]


def test_it_does_not_run_as_root() -> None:
    assert re.findall(r"(?m)^USER (.*)$", STAGES[-1]) == ["smokehouse"]
