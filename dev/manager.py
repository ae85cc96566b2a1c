"""Honcho's process manager, with supervision and an orderly stop.

A part that dies is started again (see `dev.supervision`), where Honcho would stop all.

Honcho signals the whole process group of every part at once and kills what is left after 5 s. That
ends the pool processes of a Celery worker under their running tasks, and the broker before its
clients. Here each part's main process is asked, clients before servers, and has its time.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from honcho.manager import Manager

from dev.supervision import SupervisedProcess, Supervision

# Which parts stop together, and how many seconds they have; 18 in all.
STAGES = (
    (("web", "worker-default", "worker-heavy", "beat", "flower"), 13.0),
    (("mail", "partner"), 2.0),
    (("broker", "postgres"), 3.0),
)
# PostgreSQL waits for its clients on SIGTERM; a shell that somebody left open is no reason to.
STOP_SIGNALS = {"postgres": signal.SIGINT}


class OrderlyManager(Manager):
    """Keeps the parts running; stops them in STAGES. A second Ctrl-C kills them.

    Arguments:
        servers: the ports of parts that all others need: these start when those listen.

    Attributes:
        given_up: after the loop, what those parts said at last that died too often.
    """

    def __init__(self, servers: Mapping[str, int]) -> None:
        super().__init__()
        self._supervision = Supervision(servers)
        self._process_ctor = partial(SupervisedProcess, supervision=self._supervision)
        self._stopping: threading.Thread | None = None
        self.given_up: list[str] = []

    def loop(self) -> None:
        """Run all parts; return when all have stopped."""
        super().loop()
        while not self._supervision.farewells.empty():
            self.given_up.append(self._supervision.farewells.get())

    def terminate(self) -> None:
        """Begin to stop all parts. Honcho calls this on a signal, and when a part is given up."""
        if self._stopping is not None:
            return
        # Only Ctrl-C is a person's impatience; a second SIGTERM may be make passing on the first.
        signal.signal(signal.SIGINT, lambda *_: self.kill_all())
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self._stopping = threading.Thread(target=self._stop_in_order)
        self._stopping.start()

    def kill(self) -> None:
        """Do nothing: Honcho asks for this after 5 s, which is too soon; STAGES has the limits."""

    def kill_all(self) -> None:
        """Kill every part with all of its children, whether or not it has stopped itself."""
        self._supervision.stop()
        for name in self._processes:
            self._signal(name, signal.SIGKILL, os.killpg)

    def exit_code(self) -> int:
        """Return that of all: 0 after a signal that asked for the stop, else never 0."""
        if not self.given_up and self.returncode in {130, 143}:
            return 0
        return 128 - self.returncode if self.returncode < 0 else self.returncode or 1

    def _all_started(self) -> bool:
        """Tell whether Honcho may look who has ended: one that never started has, too."""
        return all(
            part.get("pid") is not None or "returncode" in part for part in self._processes.values()
        )

    def _stop_in_order(self) -> None:
        self._supervision.stop()
        for names, seconds in STAGES:
            asked: set[int] = set()
            deadline = time.monotonic() + seconds
            while any(map(self._runs, names)) and time.monotonic() < deadline:
                for name in filter(self._runs, names):
                    self._ask_to_stop(name, asked)
                time.sleep(0.05)
            for name in names:
                self._signal(name, signal.SIGKILL, os.killpg)

    def _ask_to_stop(self, name: str, asked: set[int]) -> None:
        """Signal a part once; again if it was being started anew, as another process."""
        pid = self._processes[name].get("pid")
        if pid is not None and pid not in asked:
            asked.add(pid)
            self._signal(name, STOP_SIGNALS.get(name, signal.SIGTERM), os.kill)

    def _runs(self, name: str) -> bool:
        return name in self._processes and "returncode" not in self._processes[name]

    def _signal(self, name: str, number: int, send: Callable[[int, int], Any]) -> None:
        pid = self._processes.get(name, {}).get("pid")
        if pid is None:
            return
        try:
            send(pid, number)
        except ProcessLookupError:
            return
