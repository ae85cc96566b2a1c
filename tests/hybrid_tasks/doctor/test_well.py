"""A system of which all parts are well."""

import os
import pty
import subprocess
from contextlib import suppress

import pytest

from tests.hybrid_tasks.doctor.clinic import Clinic, tasks
from tests.loop.system import DJANGO
from tests.processes import PATIENCE

PARTS = [
    "settings",
    "database 'default'",
    "migrations",
    "outbox",
    "cache 'default'",
    "web for 'default'",
    "relay",
    "broker of 'celery'",
    "workers of 'celery'",
    "clocks of workers",
    "queue 'default'",
    "cache 'default' in workers",
    "task by 'celery'",
    "task by 'default' (overflow)",
    "task by 'default' (loop)",
]


def test_all_is_well(healthy: Clinic) -> None:
    report = healthy.doctor("--strict", "--timeout", "30")
    assert report.parts("ok") == PARTS, report.output
    assert report.parts("warning", "bad") == []
    assert report.code == 0
    assert healthy.check() == "System check identified no issues (0 silenced)."


def test_nothing_is_left_behind(healthy: Clinic) -> None:
    healthy.doctor()
    report = healthy.doctor()
    (outbox,) = [line for line in report.lines if line["part"] == "outbox"]
    assert outbox["seen"] == "empty"
    assert healthy.queued_ids() == []


@pytest.mark.parametrize("columns", [80, 120])
def test_the_table_fits_the_terminal(columns: int, healthy: Clinic) -> None:
    env = {**healthy.env_with({}), "COLUMNS": str(columns)}
    process = healthy.start([*DJANGO, "doctor", "--timeout", "30"], env)
    assert process.popen.wait(timeout=PATIENCE) == 0, process.output()
    lines = process.output().splitlines()
    assert max(map(len, lines)) <= columns
    assert lines[-1] == f"{len(PARTS)} ok, 0 warning, 0 bad"
    assert "\x1b" not in process.output()  # it is no terminal


def test_colours_are_for_terminals(healthy: Clinic) -> None:
    env = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    env |= healthy.env_with({}) | {"TERM": "xterm", "COLUMNS": "80"}
    main, other = pty.openpty()
    with (
        os.fdopen(main, "rb", buffering=0) as terminal,
        subprocess.Popen([*DJANGO, "doctor"], env=env, stdout=other, stderr=other),
    ):
        os.close(other)
        shown = b""
        with suppress(OSError):  # the other end is closed
            while got := terminal.read(65_536):
                shown += got
    assert b"\x1b[32;1mok\x1b[0m" in shown


@pytest.mark.parametrize("given", ["0", "-1", "nan", "inf"])
def test_a_timeout_that_is_none(given: str, clinic: Clinic) -> None:
    process = clinic.manage_py("doctor", f"--timeout={given}")
    assert process.popen.wait(timeout=PATIENCE) == 1
    assert "it must be more than 0 seconds" in process.output()
    assert len(process.output().splitlines()) == 1


def test_a_terminal_that_knows_ascii_only(clinic: Clinic) -> None:
    env = {**clinic.env_with({"TASKS": tasks(QUEUES=["räucherei"])}), "PYTHONIOENCODING": "ascii"}
    process = clinic.start([*DJANGO, "doctor"], env)
    assert process.popen.wait(timeout=PATIENCE) == 1
    assert "r\\xe4ucherei" in process.output()
    assert "Traceback" not in process.output()
