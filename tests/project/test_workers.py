"""The workers as the Procfile and docker-compose.yml start them: what is heavy delays nothing."""

import os
import re
import shlex
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType

import pytest
from honcho.environ import parse_procfile
from kombu.transport.redis import PRIORITY_STEPS
from ruamel.yaml import YAML

import meats.tasks
import reports.tasks
from hybrid_tasks.celery.message import broker_priority
from hybrid_tasks.tasks import Task
from meats.tasks import notify_partner, send_confirmation, smoke, smoke_order
from project.celery import app
from reports.tasks import nightly_cleanup
from tests.conftest import BIN, ROOT, running_broker
from tests.processes import PATIENCE, Process, wait_until
from tests.project.test_settings import manage

QUICK_SECONDS = 300  # that a task of the queue `default` may take at most


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


@pytest.mark.parametrize("module", [meats.tasks, reports.tasks], ids=lambda module: module.__name__)
def test_what_may_take_long_is_heavy(module: ModuleType) -> None:
    """A9: the cleanup, and the end of a run, took the places of rescues and mails."""
    tasks = [one for one in vars(module).values() if isinstance(one, Task)]
    assert len(tasks) > 5
    assert [one.name for one in tasks if one.queue_name == "default" and slow(one)] == []


def slow(task: Task) -> bool:
    return task.timeout is None or task.timeout > QUICK_SECONDS


def test_what_is_sent_by_its_name_goes_to_its_own_queue(tmp_path: Path) -> None:
    """A9: as by "Run selected tasks" in the admin of periodic tasks."""
    with running_broker(tmp_path) as url, app.connection_for_write(url) as connection:
        app.tasks[nightly_cleanup.module_path].apply_async(connection=connection)
        sent = connection.SimpleQueue("heavy").get(timeout=PATIENCE)
    assert sent.headers["task"] == nightly_cleanup.module_path


def test_redis_gives_out_first_what_is_quick_and_last_what_strangers_start() -> None:
    """A stopping server hands over all emails that wait, and a thousand examples."""
    connection = app.connection_for_write()

    def step(priority: int) -> int:
        """Return the part of the queue, which Redis serves from the lowest on."""
        at = broker_priority(priority, connection)
        return max(begin for begin in PRIORITY_STEPS if begin <= at)

    usual = max(begin for begin in PRIORITY_STEPS if begin <= app.conf.task_default_priority)
    assert step(notify_partner.priority) == usual
    slow = {step(send_confirmation.priority), step(smoke_order.priority)}
    assert usual < min(slow)
    assert max(slow) < step(smoke.priority)
