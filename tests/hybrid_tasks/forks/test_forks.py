"""Processes that fork, whatever their parents had running."""

import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.processes import Process


@pytest.mark.parametrize("before", ["used", "unused"])
@pytest.mark.parametrize("way", ["multiprocessing", "os", "served", "twice"])
def test_a_child_runs_tasks_of_its_own_and_ends(way: str, before: str, tmp_path: Path) -> None:
    """C16: a child never ended, its sync tasks stayed RUNNING, and its producers were not its own.

    What its parent has begun goes on there.
    """
    command = [sys.executable, "-m", "tests.hybrid_tasks.forks.program", way, before]
    env = {"DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONPATH": str(ROOT)}
    with Process(command, env, tmp_path / "log") as program:
        program.wait_for("all ran")
        assert program.popen.wait(60) == 0, program.output()
    assert "Traceback" not in program.output()
