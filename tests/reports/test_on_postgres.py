"""What databases do each in their own way, on PostgreSQL as well as on the tests' SQLite."""

import subprocess
import sys

from tests.conftest import ROOT
from tests.postgres import Postgres

FILES = [
    "tests/meats/test_adjustments.py",
    "tests/reports/cleanup",
    "tests/reports/runs/test_closing.py",
    "tests/reports/test_zones.py",
]


def test_what_depends_on_the_database(postgres: Postgres) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += ["--ds", "tests.reports.postgres_settings", *FILES]
    env = {"PATH": "/usr/bin:/bin", "POSTGRES_URL": postgres.url}
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=ROOT, env=env, timeout=900
    )
    assert done.returncode == 0, done.stdout[-10_000:] + done.stderr[-2_000:]
    assert " passed" in done.stdout
