"""The whole stack as a newcomer starts it: `make run`, used, stopped."""

import os
import re
import signal
import smtplib
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from dev.stack import DEFAULT_PORTS
from tests.acceptance.patient import get
from tests.conftest import BIN, ROOT
from tests.processes import PATIENCE, Process, free_port, port_is_open, wait_until
from tests.project.test_settings import manage

START_WITHIN = 240.0  # seconds, on a slow machine
STOP_WITHIN = 3 * 20  # seconds; 20 are promised in the README, to a machine that does not hang
BANNER = "The smokehouse is open."


class RunningStack:
    """`make run` on free ports and a VAR_DIR of its own, with the variables given besides."""

    def __init__(self, directory: Path, **env: str) -> None:
        self.directory = directory
        self.var_dir = directory / "var"
        self.ports = {name: free_port() for name in DEFAULT_PORTS}
        self.env = {name: str(port) for name, port in self.ports.items()} | {
            "VAR_DIR": str(self.var_dir),
            # What tests.settings has set for this process is not for the stack.
            **dict.fromkeys(("REDIS_URL", "DATABASE_URL", "OUTGOING_URL", "SECRET_KEY"), ""),
            "STEP_SECONDS": "0.2",
            "DRAIN_TIMEOUT": "8",
            "FLOWER_URL": f"http://127.0.0.1:{self.ports['FLOWER_PORT']}",
            "DJANGO_SETTINGS_MODULE": "project.settings",
            **env,
        }
        self.start()

    def start(self) -> None:
        """Start it, for the first time or again."""
        log = self.directory / "make.log"
        self.make = Process(["make", "-C", str(ROOT), "run"], self.env, log)

    def stop(self) -> None:
        """Press Ctrl-C; fail if anything is left afterwards."""
        processes = self.processes()
        os.killpg(self.make.pid, signal.SIGINT)
        self.make.popen.wait(timeout=STOP_WITHIN)
        assert_nothing_is_left(self, processes)

    @property
    def web(self) -> str:
        return f"http://127.0.0.1:{self.ports['WEB_PORT']}"

    @property
    def flower(self) -> str:
        return f"http://127.0.0.1:{self.ports['FLOWER_PORT']}"

    def password(self, part: str) -> str:
        found = re.search(rf"{part} .*user admin, password (\S+)", self.make.output())
        assert found, self.make.output()
        return found[1]

    def pid_of(self, part: str) -> int:
        """Return what the log says beside the last start of `part`."""
        return int(re.findall(rf"{part} started \(pid=(\d+)\)", self.make.output())[-1])

    def processes(self) -> list[psutil.Process]:
        return psutil.Process(self.make.pid).children(recursive=True)

    def kill(self) -> None:
        for process in self.processes() if psutil.pid_exists(self.make.pid) else []:
            process.kill()
        self.make.kill()


def assert_nothing_is_left(stack: RunningStack, processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=10)
    assert alive == []
    assert {name: port for name, port in stack.ports.items() if port_is_open(port)} == {}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    stack = RunningStack(tmp_path_factory.mktemp("stack"))
    try:
        stack.make.wait_for(BANNER, seconds=START_WITHIN)
        yield stack
    finally:
        stack.kill()


def test_the_banner_is_true(stack: RunningStack) -> None:
    assert get(stack.web).text == "Hello, async Django!"
    assert get(stack.flower).status_code == 401
    flower = get(stack.flower, auth=("admin", stack.password("Flower")))
    assert flower.status_code == 200
    assert "DEBUG=true" in stack.make.output()


def test_mail_is_kept(stack: RunningStack) -> None:
    with smtplib.SMTP("127.0.0.1", stack.ports["SMTP_PORT"]) as connection:
        connection.sendmail("a@localhost", ["b@localhost"], "Subject: Ribs\r\n\r\nAre ready.\r\n")
    kept = [path.read_text() for path in (stack.var_dir / "mail" / "new").iterdir()]
    # Not all there is on a Monday at six, when the staff get their digest.
    assert sum("Subject: Ribs" in text for text in kept) == 1


def test_a_side_effect_calls_the_partner(stack: RunningStack) -> None:
    assert get(f"{stack.web}/async/").text == "Non-blocking HTTP request"
    stack.make.wait_for("<Response [200 OK]>")


def test_nightly_cleanup_runs_from_the_admin_and_shows_in_flower(stack: RunningStack) -> None:
    def asked_flower(path: str) -> Any:
        return get(f"{stack.flower}/{path}", auth=("admin", stack.password("Flower"))).json()

    # It answers before it listens to the events, of which it gets none later.
    wait_until(lambda: asked_flower("workers?json=1")["data"], "Flower hears the worker")
    database = sqlite3.connect(stack.var_dir / "db.sqlite3", timeout=20)
    with database:
        database.execute("INSERT INTO django_session VALUES ('old', '', '2020-01-01 00:00:00')")
    (primary_key,) = database.execute(
        "SELECT id FROM django_celery_beat_periodictask WHERE name = 'Nightly cleanup'"
    ).fetchone()
    database.close()

    periodic_tasks = f"{stack.web}/admin/django_celery_beat/periodictask/"
    with httpx.Client(follow_redirects=True, timeout=PATIENCE) as admin:
        login = admin.get(f"{stack.web}/admin/login/")
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', login.text)
        assert token
        form = {
            "csrfmiddlewaretoken": token[1],
            "username": "admin",
            "password": stack.password("Admin"),
            "next": "/admin/",
        }
        assert "Site administration" in admin.post(str(login.url), data=form).text
        form = {
            "csrfmiddlewaretoken": admin.cookies["csrftoken"],
            "action": "run_tasks",
            "_selected_action": str(primary_key),
        }
        page = admin.post(periodic_tasks, data=form, headers={"Referer": periodic_tasks})
        assert "1 task was successfully run" in page.text

    stack.make.wait_for("Nightly cleanup removed 1 expired session")

    def seen_by_flower() -> bool:
        return any(
            (task["name"], task["state"]) == ("reports.tasks.nightly_cleanup", "SUCCESS")
            and "'expired_sessions': 1" in task["result"]
            for task in asked_flower("api/tasks").values()
        )

    wait_until(seen_by_flower, "Flower shows the task as successful")


def test_another_terminal_finds_the_running_stack(stack: RunningStack) -> None:
    code = "from django.conf import settings as s; print(s.REDIS_URL, s.EMAIL_PORT, s.DEBUG)"
    # The lock tells, not the terminal: nothing but where the data is.
    done = manage("shell", "--no-imports", "--command", code, VAR_DIR=str(stack.var_dir))
    broker, smtp = stack.ports["BROKER_PORT"], stack.ports["SMTP_PORT"]
    assert done.stdout.split() == [f"redis://127.0.0.1:{broker}/0", str(smtp), "True"], done.stderr
    ping = subprocess.run(
        [str(BIN / "celery"), "-A", "project", "inspect", "ping", "--timeout", "20"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "VAR_DIR": str(stack.var_dir)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "2 nodes online." in ping.stdout, ping.stderr
    assert (stack.var_dir / "stack.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("part", ["web", "worker-heavy"])
def test_a_part_that_is_killed_is_back(stack: RunningStack, part: str) -> None:
    ready = {"web": "Application startup complete", "worker-heavy": " ready."}[part]
    before = len(re.findall(rf"{part} +\| .*{ready}", stack.make.output()))
    os.kill(stack.pid_of(part), signal.SIGKILL)
    stack.make.wait_for(f"{part} died of SIGKILL after")
    wait_until(
        lambda: len(re.findall(rf"{part} +\| .*{ready}", stack.make.output())) > before,
        f"{part} is ready again",
    )
    assert get(f"{stack.web}/readyz/").text == "ok"
    assert stack.make.popen.poll() is None


def test_a_taken_port_is_one_clear_sentence(stack: RunningStack, tmp_path: Path) -> None:
    env = stack.env | {"VAR_DIR": str(tmp_path)}
    with Process(["make", "-C", str(ROOT), "run"], env, tmp_path / "log") as second:
        assert second.popen.wait(timeout=START_WITHIN) != 0
        port = stack.ports["WEB_PORT"]
        assert f"make run: port {port} cannot be used" in second.output()
        assert f"'make run WEB_PORT={port + 1}'" in second.output()
        assert "Traceback" not in second.output()


def test_two_copies_run_side_by_side_and_sigterm_stops_one(
    stack: RunningStack, tmp_path: Path
) -> None:
    second = RunningStack(tmp_path)
    try:
        second.make.wait_for(BANNER, seconds=START_WITHIN)
        assert get(second.web).text == get(stack.web).text
        processes = second.processes()
        assert len(processes) > 8
        child = psutil.Process(second.make.pid).children()[0]
        assert "dev" in child.cmdline()
        child.terminate()
        assert second.make.popen.wait(timeout=STOP_WITHIN) == 0
        assert_nothing_is_left(second, processes)
        assert get(stack.web).text == "Hello, async Django!"
    finally:
        second.kill()


def test_ctrl_c_ends_what_runs_and_leaves_nothing(stack: RunningStack) -> None:
    """The last test of this module: it stops the stack that the others share."""
    get(f"{stack.web}/smoke_some_meats/?to_smoke=last,order")
    processes = stack.processes()
    os.killpg(stack.make.pid, signal.SIGINT)
    stack.make.popen.wait(timeout=STOP_WITHIN)
    assert_nothing_is_left(stack, processes)
    output = stack.make.output()
    assert "Who doesn't love smoked last?" in output
    output = output[output.index("SIGINT received") :]
    assert output.index("web stopped (rc=0)") < output.index("broker stopped (rc=0)")
    for worker in ("worker-default", "worker-heavy"):
        assert output.index(f"{worker} stopped (rc=0)") < output.index("broker stopped (rc=0)")
    assert "stopped (rc=-9)" not in output  # nor was one killed


def test_the_data_outlives_a_restart(stack: RunningStack) -> None:
    """Runs after the stop above: a second start finds its admin and shows no password again."""
    again = subprocess.Popen(
        ["make", "-C", str(ROOT), "run"],
        env=os.environ | stack.env,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        web = stack.ports["WEB_PORT"]
        wait_until(lambda: port_is_open(web), "the web server is back", START_WITHIN)
        database = sqlite3.connect(stack.var_dir / "db.sqlite3", timeout=20)
        assert database.execute("SELECT count(*) FROM auth_user").fetchone() == (1,)
        database.close()
    finally:
        processes = psutil.Process(again.pid).children(recursive=True)
        os.killpg(again.pid, signal.SIGINT)
        again.wait(timeout=STOP_WITHIN)
        psutil.wait_procs(processes, timeout=10)
