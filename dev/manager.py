"""Honcho's process manager, with an orderly stop.

Honcho signals the whole process group of every part at once and kills what is left after 5 s. That
ends the pool processes of a Celery worker under their running tasks, and the broker before its
clients. Here each part's main process is asked, clients before servers, and has its time.
"""

import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from honcho.manager import Manager

# Which parts stop together, and how many seconds they have; 18 in all.
STAGES = (
    (("web", "worker", "beat", "flower"), 13.0),
    (("mail", "partner"), 2.0),
    (("broker",), 3.0),
)


class OrderlyManager(Manager):
    """Stops the parts in STAGES; a second Ctrl-C kills them."""

    def __init__(self) -> None:
        super().__init__()
        self._stopping: threading.Thread | None = None

    def terminate(self) -> None:
        """Begin to stop all parts. Honcho calls this on a signal, and when a part has ended."""
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
        for name in self._processes:
            self._signal(name, signal.SIGKILL, os.killpg)

    def _stop_in_order(self) -> None:
        for names, seconds in STAGES:
            running = [name for name in names if self._runs(name)]
            for name in running:
                self._signal(name, signal.SIGTERM, os.kill)
            deadline = time.monotonic() + seconds
            while any(map(self._runs, running)) and time.monotonic() < deadline:
                time.sleep(0.05)
            for name in names:
                self._signal(name, signal.SIGKILL, os.killpg)

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
