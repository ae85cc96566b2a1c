"""Django's signals of tasks, sent where somebody listens.

Sending one takes as long as building a result, and Django's own receiver only writes a log line:
a signal that has no other receiver is sent if that line is wanted. A receiver that raises is logged
by Django and harms no task.
"""

import logging

from django.dispatch import Signal
from django.tasks import signals

from hybrid_tasks.results.task_result import TaskResult

_log = logging.getLogger("django.tasks")


class Announcement:
    """One of Django's signals; `log_receiver` is Django's own, which logs at `log_level`."""

    def __init__(self, signal: Signal, log_receiver: object, log_level: int) -> None:
        self._signal = signal
        self._log_level = log_level
        self._only_django = [entry for entry in signal.receivers if entry[1]() is log_receiver]

    def send(self, sender: type, result: TaskResult) -> None:
        """Tell the receivers of `result`."""
        if self._signal.receivers != self._only_django or _log.isEnabledFor(self._log_level):
            self._signal.send_robust(sender, task_result=result)


enqueued = Announcement(signals.task_enqueued, signals.log_task_enqueued, logging.DEBUG)
started = Announcement(signals.task_started, signals.log_task_started, logging.INFO)
succeeded = Announcement(signals.task_finished, signals.log_task_finished, logging.INFO)
failed = Announcement(signals.task_finished, signals.log_task_finished, logging.ERROR)
