"""Fetch Django's tests into a cache, and run them for each version and each backend."""

import os
import re
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import django

from tests.conftest import ROOT, running_broker

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "hybrid-tasks-django"
BACKENDS = ("eventloop", "celery")
OURS = f"django=={django.__version__}"
NEXT = "django>=6.1,<6.2"
NEEDED = {"celery": "celery[redis]", "orjson": "orjson", "redis": "redis[hiredis]"}


def fetched(requirement: str) -> Path:
    """Return the source distribution that pip takes for a requirement, from the cache if there."""
    folder = CACHE / re.sub(r"\W+", "-", requirement)
    if not list(folder.glob("*.tar.gz")):
        options = ["--no-binary", ":all:", "--no-deps", "--quiet", "--dest", str(folder)]
        subprocess.run([sys.executable, "-m", "pip", "download", *options, requirement], check=True)
    return next(folder.glob("*.tar.gz"))


def unpacked(archive: Path) -> Path:
    """Return a folder that holds Django's package `tasks` of tests, and nothing else."""
    folder = archive.parent / "tests"
    if not folder.exists():
        with tarfile.open(archive) as tar:
            inside = f"{archive.name.removesuffix('.tar.gz')}/tests/"
            members = [one for one in tar.getmembers() if one.name.startswith(f"{inside}tasks/")]
            for member in members:
                member.name = member.name.removeprefix(inside)
            tar.extractall(folder, members, filter="data")
    return folder


def python_with(archive: Path) -> str:
    """Return an interpreter that has this Django and what our backends need of others."""
    if archive.parent == fetched(OURS).parent:
        return sys.executable
    venv = archive.parent / "venv"
    python = venv / "bin" / "python"
    if not python.exists():
        uv = str(Path(sys.executable).with_name("uv"))
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, venv], check=True)
        number = archive.name.removeprefix("django-").removesuffix(".tar.gz")
        others = [f"{what}=={version(name)}" for name, what in NEEDED.items()]
        install = [uv, "pip", "install", "--quiet", "--python", str(python)]
        subprocess.run([*install, f"django=={number}", *others], check=True)
    return str(python)


def run(archive: Path, backend: str, broker_url: str) -> bool:
    """Run Django's tests against one backend; return whether all that apply have passed."""
    env = {
        **os.environ,
        "PYTHONPATH": f"{unpacked(archive)}{os.pathsep}{ROOT}",
        "DJANGO_SETTINGS_MODULE": "tests.django_own.settings",
        "BACKEND": backend,
        "BROKER_URL": broker_url,
    }
    command = [python_with(archive), "-W", "error::ResourceWarning", "-m", "tests.django_own.run"]
    return subprocess.run(command, env=env, cwd=ROOT, check=False).returncode == 0


def main() -> int:
    """Return 0 if all passed. Arguments: the backends to try, both without any."""
    backends = sys.argv[1:] or BACKENDS
    with TemporaryDirectory() as directory, running_broker(Path(directory)) as url:
        outcomes = [
            run(fetched(requirement), backend, url)
            for requirement in (OURS, NEXT)
            for backend in backends
        ]
    return 0 if all(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
