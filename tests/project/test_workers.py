"""The workers as the Procfile and docker-compose.yml start them: what is heavy delays nothing."""

import os
import re
import shlex
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from honcho.environ import parse_procfile
from ruamel.yaml import YAML

from project.celery import app
from tests.conftest import BIN, ROOT, running_broker
from tests.processes import Process, wait_until
from tests.project.test_settings import manage


def workers_of_procfile() -> dict[str, str]:
    processes = parse_procfile((ROOT / "Procfile").read_text()).processes
    return {name: command for name, command in processes.items() if " worker " in command}


def workers_of_compose() -> dict[str, str]:
    services = YAML(typ="safe").load(ROOT / "docker-compose.yml")["services"]
    commands = {name: service.get("command", []) for name, service in services.items()}
    return {
        name: re.sub(r"\$\{\w+:-(\w+)\}", r"\1", "exec " + shlex.join(command).replace("'", ""))
        for name, command in commands.items()
        if "worker" in command
    }


WORKERS = {"Procfile": workers_of_procfile(), "compose": workers_of_compose()}


@pytest.fixture
def env(tmp_path: Path) -> Iterator[dict[str, str]]:
    with running_broker(tmp_path) as broker_url:
        env = {
            "DJANGO_SETTINGS_MODULE": "tests.project.worker_settings",
            "VAR_DIR": str(tmp_path),
            "DATABASE_URL": f"sqlite:///{tmp_path}/db.sqlite3",
            "REDIS_URL": broker_url,
            "SECRET_KEY": "only-for-tests",
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        }
        assert manage("migrate", "--verbosity", "0", **env).returncode == 0
        yield env


def enqueue(env: dict[str, str], code: str) -> None:
    done = manage(
        "shell", "--no-imports", "--command", f"from tests.project.tasks import *; {code}", **env
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("workers", WORKERS.values(), ids=WORKERS.keys())
def test_a_stuffed_heavy_queue_delays_no_other_job(
    workers: dict[str, str], env: dict[str, str], tmp_path: Path
) -> None:
    with ExitStack() as stack:
        for name, command in workers.items():
            process = Process(["sh", "-c", command], env, tmp_path / f"{name}.log")
            stack.enter_context(process)
        enqueue(env, "[hold.enqueue(number) for number in range(20)]")
        wait_until(lambda: len(list(tmp_path.glob("held-*"))) >= 2, "all that is free is busy")
        enqueue(env, "pass_by.enqueue()")
        wait_until((tmp_path / "passed").exists, "the quick one is run")
        # Not a matter of seconds: none of the heavy ones can end before they are released.
        assert not list(tmp_path.glob("released-*"))
        (tmp_path / "release").touch()
        wait_until(lambda: len(list(tmp_path.glob("released-*"))) == 20, "all others are run")


@pytest.mark.parametrize("workers", WORKERS.values(), ids=WORKERS.keys())
def test_each_queue_has_a_worker_that_bears_its_name(workers: dict[str, str]) -> None:
    served = {name: command.split("--queues ")[1].split()[0] for name, command in workers.items()}
    assert served == {f"worker-{queue}": queue for queue in app.amqp.queues}
    for name, queue in served.items():
        assert f"--hostname {queue}@%h " in workers[name]
