"""A task on its way to the broker, and who waits to hear that it is there."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from kombu.messaging import Producer

from hybrid_tasks.results.store import ResultStore
from hybrid_tasks.results.task_result import TaskResult


@dataclass(eq=False, slots=True)
class Message:
    """A task on its way to the broker.

    Attributes:
        result: the state in which it is sent.
        send: sends it with the producer that it is given.
        store: where its result is kept.
        sender: of Django's signals, the class of its backend.
        future: of a caller who waits, keeps the task himself and hears why it is not sent; without
            one it is sent when it can be.
        lease: of the task's row in the outbox, in seconds; None if it has no row.
        marked: whether the row says already that the task is sent.
    """

    result: TaskResult
    send: Callable[[Producer], Any]
    store: ResultStore
    sender: type
    future: Future[None] | None = None
    lease: float | None = None
    marked: bool = False

    def wanted(self) -> bool:
        """Return whether nobody has given up waiting; from then on nobody can."""
        if self.future is None or self.future.running():
            return True
        return not self.future.done() and self.future.set_running_or_notify_cancel()

    def tell(self, error: BaseException | None) -> None:
        """Tell who waits that it is sent, or why not."""
        if self.future is None or not self.wanted():
            return
        if error is None:
            self.future.set_result(None)
        else:
            self.future.set_exception(error)
