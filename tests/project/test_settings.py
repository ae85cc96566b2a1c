"""The settings as production sees them: in a process of their own, told by the environment."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from project.settings import next_redis_database
from tests.conftest import ROOT
from tests.processes import PATIENCE


def manage(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run manage.py with nothing of this process's settings but PATH."""
    return subprocess.run(
        [sys.executable, "-W", "error", "manage.py", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "project.settings", **env},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_production_passes_djangos_deployment_check(tmp_path: Path) -> None:
    done = manage(
        "check",
        *("--deploy", "--fail-level", "WARNING"),
        SECRET_KEY="".join(map(chr, range(48, 122))),
        VAR_DIR=str(tmp_path),
        STATIC_ROOT=str(tmp_path),
    )
    assert done.returncode == 0, done.stderr


def test_no_migration_is_missing(tmp_path: Path) -> None:
    done = manage(
        "makemigrations",
        *("--check", "--dry-run"),
        SECRET_KEY="x",
        DATABASE_URL=f"sqlite:///{tmp_path}/db.sqlite3",
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_without_a_secret_key_it_says_what_to_set(tmp_path: Path) -> None:
    done = manage("check", VAR_DIR=str(tmp_path))
    assert done.returncode == 1
    assert "No secret key: set SECRET_KEY, or SECRET_KEY_FILE" in done.stderr


def test_the_secret_key_may_be_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("from-a-file\n")
    done = manage(
        "shell",
        *(
            "--no-imports",
            "--command",
            "from django.conf import settings as s; print(s.SECRET_KEY)",
        ),
        SECRET_KEY_FILE=str(path),
    )
    assert done.stdout.strip() == "from-a-file", done.stderr


def test_an_empty_variable_counts_as_not_set() -> None:
    done = manage("check", SECRET_KEY="x", DATABASE_URL="", STEP_SECONDS="", DEBUG="")
    assert done.returncode == 0, done.stderr


def test_production_is_closed_unless_told() -> None:
    show = "from django.conf import settings as s; print(s.DEBUG, s.SERVE_EXAMPLES, s.HTTPS_ONLY)"
    done = manage("shell", "--no-imports", "--command", show, SECRET_KEY="x")
    assert done.stdout.split() == ["False", "False", "True"], done.stderr


def test_a_bad_value_is_named_with_its_rule() -> None:
    done = manage("check", SECRET_KEY="x", STEP_SECONDS="-1")
    assert 'Environment variable "STEP_SECONDS" invalid' in done.stderr
    assert "greater than or equal to 0" in done.stderr


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://localhost:6379/0", "redis://localhost:6379/1"),
        ("redis://localhost:6379", "redis://localhost:6379/1"),
        (
            "rediss://:secret@host:1/7?ssl_cert_reqs=none",
            "rediss://:secret@host:1/8?ssl_cert_reqs=none",
        ),
    ],
)
def test_the_cache_has_the_database_after_the_queues(url: str, expected: str) -> None:
    assert next_redis_database(url) == expected


def test_a_redis_url_without_a_number_is_refused() -> None:
    with pytest.raises(ImproperlyConfigured, match="must end in a database number"):
        next_redis_database("redis://localhost:6379/queues")
