"""The engine under recorder, publisher and outbox: a thread that works off what others put down.

One item's fault is one item's: what cannot be written together is written alone, and what cannot be
written alone is named and dealt with by itself. Only an error that says so means that the other
side is away; then everything waits. The thread is started by the first item and started again if it
should die; what it opened is closed when it has nothing to do.
"""

import logging
import threading
from abc import ABC, abstractmethod

from django.db import connections
from django.db.backends.base.creation import TEST_DATABASE_PREFIX

from hybrid_tasks.runtime import Runtime

logger = logging.getLogger("hybrid_tasks")

BATCH = 500  # items; larger ones hold the GIL long enough to be felt on the loop
PAUSE_FIRST = 0.1  # seconds between two tries while the other side is away
PAUSE_CAP = 2.0
IDLE_SECONDS = 10.0  # after which connections are given back
EXIT_SECONDS = 5.0  # that a process waits at its end for what is not written yet


class Engine[Key, Item](ABC):
    """Collects items by key and writes them in batches, from one thread or stepped by hand.

    Attributes:
        name: of the thread.
        limit: how many items may wait; one more is dropped, counted and logged.
        linger: seconds that a batch gathers.
        dropped: how many items found no room.
        failed: how many items could not be written by themselves.
        failure: what the other side said last, or "" while it does as it is told.
    """

    name: str
    limit = 100_000
    linger = 0.0

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.dropped = 0
        self.failed = 0
        self.failure = ""
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._hurry = threading.Event()
        self._pending: dict[Key, Item] = {}
        self._writing: dict[Key, Item] = {}
        self._thread: threading.Thread | None = None
        self._alive = False  # quicker than to ask the thread, with each item
        self._stop = threading.Event()
        self._in_step = False
        self._busy = threading.RLock()
        runtime.steppables.append(self)
        runtime.busy.append(self._busy)

    @abstractmethod
    def write(self, batch: dict[Key, Item]) -> None:
        """Write items together, and remove from `batch` what needs no second try.

        What it raises is the fault of what is left in the batch, or says that the other side is
        away. Without an exception, all is written that is not left.
        """

    @abstractmethod
    def is_away(self, error: Exception) -> bool:
        """Return whether `error` says that the other side cannot be reached now."""

    @abstractmethod
    def fail(self, key: Key, item: Item, error: BaseException) -> None:
        """Deal with an item that cannot be written; nobody else will."""

    def merged(self, _old: Item, new: Item) -> Item:
        """Return what is to be written of two items with the same key."""
        return new

    def put(self, key: Key, item: Item, *, always: bool = False) -> bool:
        """Take an item to write; return False if there is no room for it (with `always` there is).

        Its caller has promised nothing yet that could be lost then.
        """
        full = False
        with self._lock:
            waiting = self._pending.get(key)
            if waiting is not None:
                self._pending[key] = self.merged(waiting, item)
            elif len(self._pending) >= self.limit and not always:
                self.dropped += 1
                full = True
            else:
                self._pending[key] = item
                if len(self._pending) == 1:  # else it is awake
                    self._idle.clear()
                    self._wake.set()
        if full:
            if self.dropped & (self.dropped - 1) == 0:  # the 1st, 2nd, 4th, 8th ...
                logger.warning("%s is full: %d dropped so far", self.name, self.dropped)
            return False
        if not self._alive:
            self._start()
        return True

    def peek(self, key: Key) -> Item | None:
        """Return the item that is not written yet under `key`."""
        with self._lock:
            return self._pending.get(key) or self._writing.get(key)

    def items(self) -> list[Item]:
        """Return all items that are not written yet."""
        with self._lock:
            return [*self._writing.values(), *self._pending.values()]

    def __len__(self) -> int:
        return len(self._pending) + len(self._writing)

    def flush(self, seconds: float) -> bool:
        """Write what waits, without lingering; return whether all was written within `seconds`."""
        if not self.runtime.threads:
            while self._pending and self.step():
                pass
            return not self._pending
        self._hurry.set()
        try:
            return self._idle.wait(seconds)
        finally:
            self._hurry.clear()

    def step(self) -> bool:
        """Write what has gathered and do what is due; return False if the other side is away."""
        if self._in_step:  # by hand, a step that waits for another part steps them all
            return True
        self._in_step = True
        try:
            there = self._write_gathered()
            there = self.do_due() and there
        except BaseException as error:
            # Not an item's fault: the engine's own. Nothing is lost.
            logger.exception("%s failed", self.name)
            self.failure = f": {error!r}"
            there = False
        finally:
            self._in_step = False
        self._settle()
        if there:
            if self.failure:
                logger.info("%s writes again", self.name)
            self.failure = ""
        else:
            self.close_connections()
        return there

    def do_due(self) -> bool:
        """Do what is due by the clock; return False if the other side is away."""
        return True

    def until_due(self) -> float | None:
        """Return the seconds until something is due by the clock, if anything will be."""
        return None

    def begin(self) -> None:  # noqa: B027 - most have nothing to make ready
        """Make ready the thread that begins to run."""

    def close_connections(self) -> None:
        """Give back what this thread has opened: it has nothing to do, or it is broken."""
        if self.runtime.threads:  # by hand, they are the caller's
            connections.close_all()

    # --- One round -------------------------------------------------------------------------------

    def _write_gathered(self) -> bool:
        for _ in range(0, len(self._pending), BATCH):
            self._take()
            if not self._written(self._writing):
                return False
            self._writing = {}
        return True

    def _written(self, batch: dict[Key, Item]) -> bool:
        """Write a batch, together or else alone; return False if the other side is away."""
        try:
            self.write(batch)
        except BaseException as error:  # noqa: BLE001 - what an item's code raises is data
            if isinstance(error, Exception) and self.is_away(error):
                if not self.failure:  # said once, not at every try
                    logger.warning("%s cannot write, will try again: %r", self.name, error)
                self.failure = f": {error}"
                return False
            if len(batch) > 1:
                return all(self._written_alone(batch, key) for key in list(batch))
            self._failed(batch, error)
        return not batch

    def _written_alone(self, batch: dict[Key, Item], key: Key) -> bool:
        alone = {key: batch[key]}
        if self._written(alone):
            del batch[key]
            return True
        return False

    def _failed(self, batch: dict[Key, Item], error: BaseException) -> None:
        key, item = batch.popitem()
        self.failed += 1
        logger.error("%s cannot write %s", self.name, key, exc_info=error)
        try:
            self.fail(key, item, error)
        except Exception:
            logger.exception("%s cannot deal with %s", self.name, key)

    def _take(self) -> None:
        with self._lock:
            if len(self._pending) <= BATCH:
                self._writing, self._pending = self._pending, {}
            else:
                self._writing = {key: self._pending.pop(key) for key in list(self._pending)[:BATCH]}

    def _settle(self) -> None:
        """Return what was not written to what waits, before it; note whether nothing does."""
        with self._lock:
            for key, item in self._writing.items():
                if key in self._pending:
                    self._pending[key] = self.merged(item, self._pending[key])
            self._pending = self._writing | self._pending
            self._writing = {}
            if not self._pending:
                self._wake.clear()
                self._idle.set()

    # --- The thread ------------------------------------------------------------------------------

    def start(self) -> None:
        """Let the thread run, also if there is nothing to write."""
        if not self._alive:
            self._start()

    def stop(self, seconds: float) -> None:
        """End the thread, for a runtime that ends before its process does."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(seconds)

    def hasten(self) -> None:
        """Let the thread look again at what is due."""
        self._wake.set()

    def _start(self) -> None:
        if not self.runtime.threads:
            return
        with self._lock:
            if self._alive:
                return
            self._alive = True
            first = self._thread is None
            self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
            try:
                self._thread.start()
            except BaseException:  # as at the interpreter's end
                self._alive = False
                raise
        if first:
            self.runtime.at_exit(self._flush_at_exit)

    def _flush_at_exit(self) -> None:
        if not self.flush(EXIT_SECONDS):
            logger.error("%s could not write %d items before the exit", self.name, len(self))

    def _run(self) -> None:
        pause = PAUSE_FIRST
        try:
            self.begin()
            while not self._stop.is_set():
                self._wait()
                with self._busy:
                    there = self.step()
                if there:
                    pause = PAUSE_FIRST
                else:
                    self._stop.wait(pause)
                    pause = min(pause * 2, PAUSE_CAP)
            self.close_connections()
        finally:
            self._alive = False

    def _wait(self) -> None:
        """Wait until there is something to do."""
        due = self.until_due()
        if not self._pending and holds_test_database():
            self.close_connections()
        if not self._wake.wait(IDLE_SECONDS if due is None else due) and due is None:
            self.close_connections()
            self._wake.wait()
        if self._pending:
            self._hurry.wait(self.linger)


def holds_test_database() -> bool:
    """Return whether this thread has opened a test database, which is dropped when tests end.

    They do not wait until an idle thread has closed its connections, and PostgreSQL refuses then.
    """
    for connection in connections.all(initialized_only=True):
        name, test = str(connection.settings_dict["NAME"]), connection.settings_dict["TEST"]
        if name.startswith(TEST_DATABASE_PREFIX) or name == test["NAME"]:
            return True
    return False
