"""How manage.py finds the stack that runs, and why it does not find one that ran."""

import fcntl
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dev.announcement import announced, only_stack_in
from dev.stack import Stack
from project.environment import running_stack
from tests.conftest import ROOT
from tests.processes import Process
from tests.project.test_settings import manage

HOLD = """
import time
from dev.announcement import announced, only_stack_in
from dev.stack import Stack
stack = Stack.from_environment()
with only_stack_in(stack), announced(stack):
    print("it runs", flush=True)
    time.sleep(1000)
"""
SHOW = "from django.conf import settings as s; print(s.REDIS_URL, s.FLOWER_URL)"
DEFAULT = "redis://127.0.0.1:6390/0"


def settings_of(var_dir: Path, **env: str) -> list[str]:
    env = {"VAR_DIR": str(var_dir), "SECRET_KEY": "x"} | env
    done = manage("shell", "--no-imports", "--command", SHOW, **env)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_running_stack_is_found_and_a_killed_one_is_not(tmp_path: Path) -> None:
    env = {"VAR_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    env |= {"REDIS_URL": "redis://:$s3{cret}'\\@elsewhere:1/7", "FLOWER_URL": "http://flower/"}
    with Process([sys.executable, "-c", HOLD], env, tmp_path / "log") as holder:
        holder.wait_for("it runs")
        assert settings_of(tmp_path) == [env["REDIS_URL"], "http://flower/"]
        # What is said here wins, and to leave it empty asks for the default.
        mine = {"REDIS_URL": "redis://mine/0", "FLOWER_URL": ""}
        assert settings_of(tmp_path, **mine) == ["redis://mine/0"]
    # It was killed: the file is left, the lock is not.
    assert (tmp_path / "stack.json").exists()
    assert settings_of(tmp_path) == [DEFAULT]


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stack:
    monkeypatch.setenv("VAR_DIR", str(tmp_path))
    return Stack.from_environment()


def test_the_file_is_for_its_owner_and_as_old_as_the_stack(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = stack.var_dir / "stack.json"
    path.write_text('{"REDIS_URL": "redis://of-one-that-was-killed/0"}')
    monkeypatch.setenv("POST_RATE", "7/minute")
    with only_stack_in(stack):
        assert running_stack(stack.var_dir) == {}
        with announced(stack):
            assert path.stat().st_mode & 0o777 == 0o600
            variables = running_stack(stack.var_dir)
            assert variables["POST_RATE"] == "7/minute"
            # What is no variable of ours is nobody's business.
            assert not {"PATH", "HOME", "VAR_DIR"} & set(variables)
    assert not path.exists()
    assert running_stack(stack.var_dir) == {}


READ = """
import json, sys
from pathlib import Path
from project.environment import Environment
env = Environment()
env.read_files(Path(sys.argv[1]))
print(json.dumps([env.str(name, "default") for name in sys.argv[2:]]))
"""


def test_it_says_more_than_the_env_file_and_less_than_the_environment(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("REDIS_URL", "FLOWER_URL", "DATABASE_URL")
    for name in names:
        monkeypatch.setenv(name, "of the stack")
    in_file = ("REDIS_URL", "KEEP_REPORTS_DAYS")
    (tmp_path / ".env").write_text("".join(f"{name}='of the file'\n" for name in in_file))
    (tmp_path / "secret").write_text("of the environment")
    env = {"VAR_DIR": str(stack.var_dir), "PYTHONPATH": str(ROOT)}
    env |= {"FLOWER_URL_FILE": str(tmp_path / "secret")}
    with only_stack_in(stack), announced(stack):
        done = subprocess.run(
            [sys.executable, "-c", READ, str(tmp_path), *names, "KEEP_REPORTS_DAYS"],
            env=env,
            capture_output=True,
            text=True,
            check=True,
        )
    assert json.loads(done.stdout) == [
        "of the stack",
        "of the environment",
        "of the stack",
        "of the file",
    ]


def test_asking_whether_a_stack_runs_keeps_none_from_its_start(stack: Stack) -> None:
    asking = (stack.var_dir / "lock").open("w")
    fcntl.flock(asking, fcntl.LOCK_SH)
    threading.Timer(0.3, asking.close).start()
    with only_stack_in(stack):
        pass
