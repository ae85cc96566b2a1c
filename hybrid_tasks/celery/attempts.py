"""An attempt in a worker, which Celery interrupts by signals, and whose end may be told already."""

import asyncio
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

from celery.exceptions import SoftTimeLimitExceeded
from django.tasks.exceptions import TaskResultDoesNotExist

from hybrid_tasks.exceptions import TaskInterrupted
from hybrid_tasks.execution.attempt import Attempt
from hybrid_tasks.execution.calling import is_async, run_async, run_function
from hybrid_tasks.results.recorder import recorder
from hybrid_tasks.results.store import ResultStore
from hybrid_tasks.results.task_result import TaskResult, may_follow

logger = logging.getLogger("hybrid_tasks")

# As billiard's processes know them, where the system has them.
SOFT_LIMIT_SIGNAL = getattr(signal, "SIGUSR1", None)
EXIT_SIGNALS = [signal.SIGTERM]
EXIT_SIGNALS += [getattr(signal, name) for name in ("SIGQUIT", "SIGHUP") if hasattr(signal, name)]


class WorkerAttempt(Attempt):
    """An attempt whose every state is stored before the next step: its process may be killed.

    Arguments beside those of Attempt:
        store: where the result is kept.
        tell: hears of each state.

    Attributes:
        superseded: whether the task had ended otherwise before this attempt did, such as by a
            cancel. Then `result` is that end.
        exits: whether its process was told to end.
    """

    def __init__(
        self,
        result: TaskResult,
        *,
        store: ResultStore,
        tell: Callable[[TaskResult], None],
        **options: Any,
    ) -> None:
        super().__init__(result, save=self._keep, **options)
        self.superseded = False
        self.exits = False
        self._store = store
        self._tell = tell

    def __enter__(self) -> Self:
        """Tell that the attempt begins, which is stored already."""
        self._tell(self.result)
        return self.announced()

    def lost(self, error: Exception) -> None:
        """End this attempt for a process that has died of `error` in the midst of it."""
        self._retry_or_fail(error)

    def _keep(self, result: TaskResult) -> None:
        if not result.is_finished:  # an end was kept before it is told
            keep(self._store, result)
            self._tell(result)

    def _end(self, result: TaskResult) -> None:
        if keep_end(self._store, result):
            super()._end(result)
            self._tell(result)
            return
        logger.info("Task id=%s had ended before this attempt did", result.id)
        self.superseded = True
        self.result = latest_of(self._store, self.result)


def keep(store: ResultStore, result: TaskResult) -> None:
    """Store a state now, or as soon as the cache takes it."""
    if not store.try_save([result]):
        recorder().record(store, result)


def keep_end(store: ResultStore, result: TaskResult) -> bool:
    """Store the end of a task, now or later; return False if it had ended otherwise."""
    try:
        return store.end(result)
    except Exception as error:  # noqa: BLE001 - each cache has errors of its own
        logger.warning("The end of task id=%s cannot be stored now: %r", result.id, error)
        recorder().record(store, result)
        return True


def load(store: ResultStore, known: TaskResult) -> TaskResult:
    """Return the later of what is known of a task and what is stored. Raises as the cache does."""
    try:
        kept = store.load(known.id)
    except TaskResultDoesNotExist:
        return known
    return known if may_follow(known, kept) else kept


def latest_of(store: ResultStore, known: TaskResult) -> TaskResult:
    """See load(); a cache that is away knows nothing better."""
    try:
        return load(store, known)
    except Exception as error:  # noqa: BLE001 - each cache has errors of its own
        logger.warning("Task id=%s: its result cannot be read: %r", known.id, error)
        return known


def make_attempt(attempt: WorkerAttempt) -> None:
    """Call the task's function; what it raises, and what interrupts it, ends the attempt only."""
    with Interruptions(attempt) as interruptions, attempt, interruptions.allowed():
        if is_async(attempt.task.func):
            asyncio.run(run_async(attempt))
        else:
            run_function(attempt, timeout_signs=(SoftTimeLimitExceeded,))


class Interruptions:
    """The signals by which Celery interrupts a task, told to the attempt before they raise.

    Wherever an exception then comes out, even as a CancelledError of the loop that it broke, it is
    known what it means. Some make the process exit at any time; the soft time limit interrupts the
    function only, and never the bookkeeping around it.
    """

    def __init__(self, attempt: WorkerAttempt) -> None:
        self._attempt = attempt
        self._allowed = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in EXIT_SIGNALS:
                self._listen(number, self._on_exit)
            if SOFT_LIMIT_SIGNAL is not None:
                self._listen(SOFT_LIMIT_SIGNAL, self._on_soft_limit)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            if signal.getsignal(number) in (self._on_exit, self._on_soft_limit):
                signal.signal(number, handler)

    @contextmanager
    def allowed(self) -> Iterator[None]:
        """Let the soft time limit interrupt what is done in the block."""
        try:
            self._allowed = True
            if self._attempt.timed_out:  # before it began
                raise SoftTimeLimitExceeded
            yield
        finally:
            self._allowed = False

    def _listen(self, number: int, heard: Callable[[int, FrameType | None], None]) -> None:
        handler = signal.getsignal(number)
        if callable(handler):  # one that is left to the system would be lost to ours
            self._before[number] = handler
            signal.signal(number, heard)

    def _on_exit(self, number: int, frame: FrameType | None) -> None:
        try:
            self._before[number](number, frame)
        except SystemExit:
            self._attempt.stop = TaskInterrupted
            self._attempt.exits = True
            raise

    def _on_soft_limit(self, number: int, frame: FrameType | None) -> None:
        try:
            self._before[number](number, frame)
        except SoftTimeLimitExceeded:
            self._attempt.timed_out = True
            if self._allowed:
                raise
