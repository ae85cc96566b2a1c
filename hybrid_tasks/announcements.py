"""Django's signals of tasks, sent where somebody listens.

Sending one takes as long as building a result, and Django's own receiver only writes a log line:
a signal that has no other receiver is sent if that line is wanted. What a receiver raises is logged
and harms no task.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from django.dispatch import Signal
from django.tasks import signals

from hybrid_tasks.results import states
from hybrid_tasks.results.task_result import TaskResult

logger = logging.getLogger("hybrid_tasks")
_log = logging.getLogger("django.tasks")

# Async receivers that have not returned yet: a loop holds its tasks weakly.
_telling: set[asyncio.Task[Any]] = set()


class Announcement:
    """One of Django's signals; `log_receiver` is Django's own, which logs at `log_level`."""

    def __init__(self, signal: Signal, log_receiver: object, log_level: int) -> None:
        self._signal = signal
        self._log_level = log_level
        self._only_django = [entry for entry in signal.receivers if entry[1]() is log_receiver]

    def send(self, sender: type, result: TaskResult) -> None:
        """Tell the receivers of `result`; on a running loop async ones run beside the caller."""
        if self._signal.receivers == self._only_django and not _log.isEnabledFor(self._log_level):
            return
        try:
            self._send(sender, states.advance(result))  # a copy, which a receiver may refresh
        except Exception:
            logger.exception("Receivers were not told of task id=%s", result.id)

    def _send(self, sender: type, result: TaskResult) -> None:
        # Signal.send_robust() calls async receivers by async_to_sync, which no running loop allows.
        receivers, async_receivers = self._signal._live_receivers(sender)
        if not async_receivers or not runs_loop():
            self._signal.send_robust(sender, task_result=result)
            return
        for receiver in receivers:
            try:
                receiver(signal=self._signal, sender=sender, task_result=result)
            except Exception:
                logger.exception("Receiver %r of task id=%s raised", receiver, result.id)
        for receiver in async_receivers:
            told = receiver(signal=self._signal, sender=sender, task_result=result)
            telling = asyncio.get_running_loop().create_task(tell(told, receiver, result.id))
            _telling.add(telling)
            telling.add_done_callback(_telling.discard)


def runs_loop() -> bool:
    """Return whether this thread runs an event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def tell(told: Coroutine[Any, Any, Any], receiver: object, task_id: str) -> None:
    try:
        await told
    except Exception:
        logger.exception("Receiver %r of task id=%s raised", receiver, task_id)


enqueued = Announcement(signals.task_enqueued, signals.log_task_enqueued, logging.DEBUG)
started = Announcement(signals.task_started, signals.log_task_started, logging.INFO)
succeeded = Announcement(signals.task_finished, signals.log_task_finished, logging.INFO)
failed = Announcement(signals.task_finished, signals.log_task_finished, logging.ERROR)
