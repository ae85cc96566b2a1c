"""A system of which all parts are well."""

import pytest

from tests.hybrid_tasks.doctor.clinic import Clinic
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
