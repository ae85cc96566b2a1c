"""What can go wrong with a task, beside what Django's own exceptions name."""

from django.tasks.exceptions import TaskException


class HybridTaskException(TaskException):
    """Base class of these exceptions; the docstring of each is its message unless one is given."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or self.__doc__)


class TaskQueueFull(HybridTaskException):
    """Nothing in this process or behind it has room for another task."""


class TaskCancelled(HybridTaskException):
    """The task was cancelled by a person."""


class TaskInterrupted(HybridTaskException):
    """The process stopped while the task ran, and it had no attempt left."""


class TaskStopped(HybridTaskException):
    """The task ended with an exception that would end its process, such as SystemExit."""


class BrokerUnavailable(HybridTaskException):
    """The broker cannot be reached, so the task was not sent."""


class OutboxUnavailable(HybridTaskException):
    """The database cannot take the task, so it was not accepted."""


class TaskLost(HybridTaskException):
    """Another process has taken the task over: this attempt counts no more."""


class ValueTooLarge(HybridTaskException, ValueError):
    """The value takes more bytes than a backend's option `max_bytes` allows."""


class MessageRefused(HybridTaskException):
    """The broker's client does not send this message, whatever the broker does."""
