"""The manager of `make run`: who dies is started again, and all stop in order."""

import json
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from dev import supervision
from dev.supervision import TIMES, SupervisedProcess, Supervision
from tests.conftest import ROOT
from tests.processes import PATIENCE, Process, free_port, wait_until

type Manage = Callable[..., Process]


@pytest.fixture
def manage(tmp_path: Path) -> Iterator[Manage]:
    """A function that starts the manager with parts of those names and commands."""
    started: list[Process] = []

    def manage(servers: dict[str, int] | None = None, **parts: str) -> Process:
        command = [sys.executable, "-m", "tests.dev.managed"]
        command += [f"{name}={part}" for name, part in parts.items()]
        env = {"SERVERS": json.dumps(servers or {}), "PYTHONPATH": str(ROOT)}
        process = Process(command, env, tmp_path / "log")
        started.append(process)
        return process

    yield manage
    for process in started:
        if process.popen.poll() is None:  # the test has failed
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
            process.kill()


def pid_of(manager: Process, part: str) -> int:
    """Return the process id that the log says beside the last start of `part`."""
    return int(re.findall(rf"{part} started \(pid=(\d+)\)", manager.output())[-1])


def test_a_part_that_is_killed_is_started_again(manage: Manage) -> None:
    manager = manage(web="exec sleep 1000", mail="exec sleep 1000")
    manager.wait_for("web started (pid=")
    manager.wait_for("mail started (pid=")
    mail = pid_of(manager, "mail")
    os.kill(pid_of(manager, "web"), signal.SIGKILL)
    manager.wait_for("web started (pid=", times=2)
    (line,) = manager.lines("web died of")
    assert re.search(r"system +\| web died of SIGKILL after \d+\.\d s; starting it again$", line)
    assert pid_of(manager, "mail") == mail
    # What was started again is asked to stop as the others are, and not killed.
    assert manager.stop() == 0
    assert manager.lines("web stopped (rc=-15)")
    assert not psutil.pid_exists(pid_of(manager, "web"))


def test_a_part_that_ends_by_itself_is_started_again(manage: Manage, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    manager = manage(web=f"test -e {flag} && exec sleep 1000; touch {flag}; exit 0")
    manager.wait_for("web started (pid=", times=2)
    assert manager.lines("web ended with exit code 0 after ")
    assert manager.stop() == 0


def test_what_a_dead_part_leaves_behind_is_killed(manage: Manage) -> None:
    # It holds the output open, as a server does whose reloader was killed.
    manager = manage(web="sleep 1000 & echo child=$!; exec sleep 1001")
    manager.wait_for("child=")
    first = int(re.findall(r"child=(\d+)", manager.output())[0])
    os.kill(pid_of(manager, "web"), signal.SIGKILL)
    manager.wait_for("child=", times=2)
    wait_until(lambda: not psutil.pid_exists(first), "the child is killed, too")
    assert manager.stop() == 0


@pytest.mark.parametrize(
    ("end", "fate", "exit_code"),
    [
        ("exit 3", "ended with exit code 3", 3),
        ("exit 0", "ended with exit code 0", 1),
        ("exit 143", "ended with exit code 143", 143),
        ("kill -9 $$", "died of SIGKILL", 137),
    ],
)
def test_a_part_that_dies_three_times_at_once_stops_all(
    manage: Manage, end: str, fate: str, exit_code: int
) -> None:
    manager = manage(
        broker="exec sleep 1000", beat=f"echo No module named reports; {end}", web="exec sleep 1000"
    )
    assert manager.popen.wait(PATIENCE) == exit_code
    assert len(manager.lines("beat started (pid=")) == TIMES
    assert len(manager.lines("; starting it again")) == TIMES - 1
    output = manager.output()
    # In order, and the last words last, where a person looks.
    assert output.index("web stopped (rc=-15)") < output.index("broker stopped (rc=-15)")
    last = output[output.index("broker stopped (rc=-15)") :]
    assert re.search(rf"beat {fate} after .*third time in a row: stopping everything\.", last)
    assert last.endswith("Its last words:\nNo module named reports\n\n")


def test_a_stop_between_two_starts_is_orderly(manage: Manage) -> None:
    manager = manage(web="exit 1", mail="exec sleep 1000")
    manager.wait_for("mail started")
    manager.wait_for("; starting it again")
    assert manager.stop() == 0
    assert "stopping everything" not in manager.output()
    assert manager.lines("mail stopped (rc=-15)")


def test_a_second_ctrl_c_kills(manage: Manage) -> None:
    manager = manage(web="trap '' TERM; echo ready; while true; do sleep 0.1; done")
    manager.wait_for("| ready")
    manager.popen.send_signal(signal.SIGINT)
    manager.wait_for("SIGINT received")
    manager.popen.send_signal(signal.SIGINT)
    # The stage would last for longer than this takes.
    assert manager.popen.wait(PATIENCE) == 0
    assert manager.lines("web stopped (rc=-9)")
    assert "starting it again" not in manager.output()


def test_parts_end_with_a_manager_that_is_killed(manage: Manage) -> None:
    manager = manage(web="exec sleep 1000", broker="sleep 1000 & exec sleep 1000")
    manager.wait_for("web started")
    manager.wait_for("broker started")
    processes = psutil.Process(manager.pid).children(recursive=True)
    manager.popen.kill()
    manager.popen.wait()
    _, alive = psutil.wait_procs(processes, timeout=PATIENCE)
    assert alive == []


def test_parts_start_when_the_servers_listen(manage: Manage) -> None:
    port = free_port()
    python = f"exec {sys.executable}"
    manager = manage(
        servers={"broker": port},
        web=f"{python} -c \"import socket, time; socket.create_connection(('127.0.0.1', {port}));"
        " print('connected', flush=True); time.sleep(1000)\"",
        broker=f"sleep 1; {python} -m http.server --bind 127.0.0.1 {port}",
    )
    manager.wait_for("connected")
    assert "web ended" not in manager.output()
    assert manager.stop() == 0


def test_a_stop_before_the_servers_listen_is_orderly(manage: Manage) -> None:
    manager = manage(servers={"broker": free_port()}, web="exit 0", broker="exec sleep 1000")
    manager.wait_for("broker started")
    assert manager.stop() == 0
    assert "web started" not in manager.output()


class Events:
    """Stands in for the queue to the manager; ends it all at the fifth start."""

    def __init__(self, supervision: Supervision) -> None:
        self.supervision = supervision
        self.types: list[str] = []

    def put(self, message: Any) -> None:
        self.types.append(message.type)
        if self.types.count("start") == TIMES + 2:
            self.supervision.stop()


def test_who_lives_for_a_while_may_die_as_often_as_it_likes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supervision, "AT_ONCE", 0.0)  # nobody dies sooner
    monkeypatch.setattr(supervision, "PAUSE", 0.0)
    shared = Supervision()
    events = Events(shared)
    SupervisedProcess("exit 1", name="web", supervision=shared).run(events)
    assert events.types.count("start") == TIMES + 2
    assert events.types[-1] == "stop"
    assert shared.farewells.empty()
