"""Starts a part again that has died."""

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from ctypes import c_bool
from dataclasses import dataclass, field
from multiprocessing import SimpleQueue
from multiprocessing.sharedctypes import RawValue
from typing import Any

from honcho.manager import SYSTEM_PRINTER_NAME
from honcho.printer import Message
from honcho.process import Process

from dev.stack import listens

AT_ONCE = 10.0  # seconds: who dies sooner after its start has hardly begun
TIMES = 3  # in a row that a part may die at once
PAUSE = 1.0  # seconds between a death and the next start
WORDS = 15  # lines of output that are shown again at the end


@dataclass(frozen=True)
class Supervision:
    """What all parts' supervisors know, each in a process of its own.

    Attributes:
        servers: the ports of parts that the others need from their start on.
        farewells: what those said at last that died too often.
    """

    servers: Mapping[str, int] = field(default_factory=dict)
    farewells: "SimpleQueue[str]" = field(default_factory=SimpleQueue)
    # Not an Event: to set one takes locks, which whoever was killed holds for ever.
    _stopping: c_bool = field(default_factory=lambda: RawValue(c_bool, False))

    def stop(self) -> None:
        """Have nothing started any more."""
        self._stopping.value = True

    @property
    def stopping(self) -> bool:
        return self._stopping.value

    def pause(self, seconds: float) -> None:
        """Wait for so long, unless all is to stop."""
        deadline = time.monotonic() + seconds
        while not self.stopping and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))


class SupervisedProcess(Process):
    """Honcho's process, begun anew whenever it dies; Honcho runs each in a process of its own.

    It ends when all stops, or when the part has died TIMES times in a row within AT_ONCE of its
    start. Honcho then stops the others.
    """

    def __init__(self, *args: Any, supervision: Supervision, **options: Any) -> None:
        super().__init__(*args, **options)
        self.supervision = supervision
        self._words: deque[bytes] = deque(maxlen=WORDS)
        self._pid: int | None = None

    def run(self, events: Any = None, ignore_signals: bool = False) -> None:
        if ignore_signals:
            # Not SIG_IGN, which the part would inherit. The manager alone decides what stops when.
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: None)
            manager = os.getppid()
            threading.Thread(target=self._end_with, args=[manager, events], daemon=True).start()
        self._events = events
        returncode = at_once = 0
        while self._servers_listen():
            began = time.monotonic()
            returncode = self._run_once()
            seconds = time.monotonic() - began
            if self.supervision.stopping:
                break
            at_once = at_once + 1 if seconds < AT_ONCE else 0
            fate = f"{self.name} {how_it_ended(returncode)} after {seconds:.1f} s"
            if at_once == TIMES:
                self._say_farewell(fate)
                break
            self._say(f"{fate}; starting it again")
            self.supervision.pause(PAUSE)
        self._send_message({"returncode": returncode}, type="stop")

    def _servers_listen(self) -> bool:
        """Wait for the servers; return False if everything is to stop."""
        servers = self.supervision.servers
        while not self.supervision.stopping:
            if self.name in servers or all(map(listens, servers.values())):
                return True
            self.supervision.pause(0.1)
        return False

    def _run_once(self) -> int:
        child = self._child_ctor(self.cmd, env=self.env, cwd=self.cwd)
        self._pid = child.pid
        self._send_message({"pid": child.pid}, type="start")
        self._words.clear()
        # Its children hold its output open: who only reads does not see it die.
        burial = threading.Thread(target=bury, args=[child])
        burial.start()
        for line in iter(child.stdout.readline, b""):
            self._words.append(line)
            self._send_message(line)
        child.stdout.close()
        burial.join()
        self._pid = None
        returncode: int = child.returncode
        return returncode

    def _end_with(self, manager: int, events: Any) -> None:
        """Have the part stop when the manager was killed: nobody else would, and it has a port."""
        while os.getppid() == manager:
            time.sleep(0.5)
        self.supervision.stop()
        events.cancel_join_thread()  # nobody reads what is not sent yet
        while (pid := self._pid) is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            time.sleep(0.5)

    def _say(self, text: str) -> None:
        self._events.put(Message("line", text, self._clock.now(), SYSTEM_PRINTER_NAME, None))

    def _say_farewell(self, fate: str) -> None:
        fate = f"{fate}, for the third time in a row: stopping everything"
        self._say(fate)
        words = b"".join(line[:500].rstrip() + b"\n" for line in self._words)
        self.supervision.farewells.put(f"{fate}. Its last words:\n{words.decode(errors='replace')}")


def bury(child: Any) -> None:
    """Wait for the end of `child`, and kill what it leaves behind: that may hold its port."""
    child.wait()
    with suppress(ProcessLookupError, PermissionError):  # nothing is left
        os.killpg(child.pid, signal.SIGKILL)


def how_it_ended(returncode: int) -> str:
    if returncode < 0:
        return f"died of {signal.Signals(-returncode).name}"
    return f"ended with exit code {returncode}"
