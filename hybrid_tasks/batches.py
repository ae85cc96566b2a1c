"""A daemon thread that writes in batches what other threads put down without waiting."""

import atexit
import logging
import os
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

logger = logging.getLogger(__name__)

BATCH = 500  # items; larger ones hold the GIL long enough to be felt on the loop
RETRY_FIRST = 0.2  # seconds
RETRY_CAP = 5.0  # seconds
EXIT_SECONDS = 5.0  # that a process waits at its end for what is not written yet


class BatchThread[Key, Item](ABC):
    """Collects items by key, the last one for a key winning, and writes them from one thread.

    The thread is started by the first `put`, and again in a child process after a fork. What cannot
    be written is kept and tried again with a growing pause.

    Arguments:
        name: of the thread.
        limit: how many items may wait; one more is dropped, counted and logged.
        linger: seconds that a batch gathers.
    """

    def __init__(self, name: str, limit: int, linger: float) -> None:
        self.name = name
        self.limit = limit
        self.linger = linger
        self.dropped = 0
        self._forget()
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        """Begin anew: in a forked child the thread is gone, and the items are the parent's."""
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._hurry = threading.Event()
        self._pending: dict[Key, Item] = {}
        self._writing: dict[Key, Item] = {}
        self._thread: threading.Thread | None = None

    @abstractmethod
    def write(self, batch: dict[Key, Item]) -> None:
        """Write the items and remove from `batch` each that needs no second try.

        What it leaves, and all that is left when it raises, is tried again later.
        """

    def put(self, key: Key, item: Item) -> bool:
        """Take an item to write; return False if there is no room for it."""
        with self._lock:
            if len(self._pending) >= self.limit and key not in self._pending:
                self.dropped += 1
                full = True
            else:
                full = False
                asleep = not self._pending
                self._pending[key] = item
                if asleep:
                    self._idle.clear()
                    self._wake.set()
        if full:
            if self.dropped & (self.dropped - 1) == 0:  # the 1st, 2nd, 4th, 8th ...
                logger.warning("%s is full: %d dropped so far", self.name, self.dropped)
            return False
        if self._thread is None:
            self._start()
        return True

    def peek(self, key: Key) -> Item | None:
        """Return the item that waits to be written under `key`."""
        with self._lock:
            return self._pending.get(key) or self._writing.get(key)

    def __len__(self) -> int:
        return len(self._pending) + len(self._writing)

    def flush(self, seconds: float) -> bool:
        """Write what waits, without lingering; return whether all was written within `seconds`."""
        self._hurry.set()
        try:
            return self._idle.wait(seconds)
        finally:
            self._hurry.clear()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
                self._thread.start()
                at_exit(self._flush_at_exit)

    def _flush_at_exit(self) -> None:
        if not self.flush(EXIT_SECONDS):
            logger.error("%s could not write %d items before the exit", self.name, len(self))

    def _run(self) -> None:
        pause = RETRY_FIRST
        while True:
            self._wake.wait()
            self._hurry.wait(self.linger)
            if self._write_gathered():
                pause = RETRY_FIRST
            else:
                time.sleep(pause)
                pause = min(pause * 2, RETRY_CAP)

    def _write_gathered(self) -> bool:
        """Write what has gathered until now; return whether all of it was written."""
        for _ in range(0, len(self._pending), BATCH):
            self._take()
            try:
                self.write(self._writing)
            except Exception as error:  # noqa: BLE001 - whatever it is, the items are kept
                logger.warning("%s cannot write, will try again: %r", self.name, error)
            if self._give_back():
                return False
        return True

    def _take(self) -> None:
        with self._lock:
            keys = list(self._pending)[:BATCH] if len(self._pending) > BATCH else None
            if keys is None:
                self._writing, self._pending = self._pending, {}
            else:
                self._writing = {key: self._pending.pop(key) for key in keys}

    def _give_back(self) -> bool:
        """Return what was not written to those that wait, before them; tell whether any was."""
        with self._lock:
            left = bool(self._writing)
            if left:
                self._pending = self._writing | self._pending
                self._writing = {}
            if not self._pending:
                self._wake.clear()
                self._idle.set()
            return left


def at_exit(function: Callable[[], Any]) -> None:
    """Call `function` when the process ends, while thread pools still take work.

    `atexit` comes after the executors' own shutdown, so this is the hook that they use, where the
    interpreter has it.
    """
    getattr(threading, "_register_atexit", atexit.register)(function)
