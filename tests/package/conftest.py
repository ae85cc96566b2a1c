"""The package as a stranger gets it: built, installed into an environment of its own, and used."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.conftest import BIN, ROOT

UV = BIN / "uv"
# The versions that are installed here are tried, and need no download.
PINNED = ("django", "asgiref", "orjson", "celery", "kombu", "redis", "hiredis")

# What is added to the settings that `django-admin startproject` writes.
SETTINGS = """
INSTALLED_APPS += ["hybrid_tasks", "shop"]
TASKS = {
    "default": {
        "BACKEND": "hybrid_tasks.backends.eventloop.EventLoopBackend",
        "OPTIONS": {"lease": 1},
    }
}
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
"""


@dataclass(frozen=True)
class Distributions:
    """What `uv build` makes."""

    wheel: Path
    sdist: Path


@dataclass(frozen=True)
class Environment:
    """A virtual environment with the wheel, and without the checkout on its path."""

    directory: Path

    @property
    def bin(self) -> Path:
        return self.directory / "bin"

    @property
    def packages(self) -> Path:
        (found,) = self.directory.glob("lib/python*/site-packages")
        return found

    def run(
        self, *command: str, cwd: Path, env: Mapping[str, str] | None = None, fails: bool = False
    ) -> str:
        """Run one of its programs; return what that wrote. It must fail, or must not."""
        ours = {name: os.environ[name] for name in ("HOME", "PATH", "LANG") if name in os.environ}
        done = subprocess.run(
            [str(self.bin / command[0]), *command[1:]],
            cwd=cwd,
            env={**ours, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert (done.returncode != 0) == fails, done.stdout
        return done.stdout


@dataclass(frozen=True)
class Shop:
    """A project that `django-admin startproject` has made, with our package added."""

    directory: Path
    environment: Environment

    def manage(self, *arguments: str, fails: bool = False, settings: str = "settings") -> str:
        """Run manage.py with warnings as errors; return what it wrote."""
        env = {"DJANGO_SETTINGS_MODULE": f"shop.{settings}"}
        command = ("python", "-W", "error", "manage.py", *arguments)
        return self.environment.run(*command, cwd=self.directory, env=env, fails=fails)

    def settings(self, name: str, text: str) -> str:
        """Add settings that begin with those of the shop; return their name."""
        path = self.directory / "shop" / f"{name}.py"
        path.write_text(f"from shop.settings import *\n\n{text}\n")
        return name


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    """The sdist, and the wheel that is built from it and from nothing else."""
    directory = tmp_path_factory.mktemp("dist")
    command = [str(UV), "build", "--quiet", "--python", sys.executable]
    subprocess.run([*command, "--out-dir", str(directory), str(ROOT)], check=True)
    (wheel,) = directory.glob("*.whl")
    (sdist,) = directory.glob("*.tar.gz")
    return Distributions(wheel, sdist)


def installed(directory: Path, wheel: Path, extras: str = "") -> Environment:
    """Make an environment with the wheel and what it asks for."""
    environment = Environment(directory / "venv")
    constraints = directory / "constraints"
    constraints.write_text("".join(f"{name}=={version(name)}\n" for name in PINNED))
    python = str(environment.bin / "python")
    for command in (
        ("venv", "--quiet", "--python", sys.executable, str(environment.directory)),
        (
            *("pip", "install", "--quiet", "--python", python),
            *("--constraints", str(constraints), f"hybrid-tasks{extras} @ {wheel.as_uri()}"),
        ),
    ):
        subprocess.run([str(UV), *command], check=True)
    return environment


@pytest.fixture(scope="session")
def bare(built: Distributions, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with the wheel and no extra: neither Celery nor Redis is in it."""
    return installed(tmp_path_factory.mktemp("bare"), built.wheel)


@pytest.fixture(scope="session")
def full(built: Distributions, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with the extras for Celery and Redis."""
    return installed(tmp_path_factory.mktemp("full"), built.wheel, "[celery,redis]")


@pytest.fixture(scope="session")
def celery_only(built: Distributions, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with Celery, and without the client of Redis that a broker there needs."""
    return installed(tmp_path_factory.mktemp("celery"), built.wheel, "[celery]")


def started(directory: Path, environment: Environment) -> Shop:
    """Start a project, and add the package and its tasks."""
    environment.run("django-admin", "startproject", "shop", str(directory), cwd=directory)
    templates = Path(__file__).parent / "shop"
    for name in ("tasks.py", "running.py", "celery.py"):
        shutil.copy(templates / name, directory / "shop")
    with (directory / "shop" / "settings.py").open("a") as settings:
        settings.write(SETTINGS)
    return Shop(directory, environment)


@pytest.fixture(scope="session")
def shop(bare: Environment, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A project without Celery and Redis."""
    return started(tmp_path_factory.mktemp("shop"), bare)


@pytest.fixture
def celery_shop(celery_only: Environment, tmp_path: Path) -> Shop:
    """A project with Celery, and without Redis."""
    return started(tmp_path, celery_only)


@pytest.fixture(scope="session")
def full_shop(full: Environment, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A project that has both installed."""
    return started(tmp_path_factory.mktemp("full_shop"), full)
