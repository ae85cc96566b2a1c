"""Tells the callers of the outbox's writer, in their own threads and loops, what came of it."""

import logging
from collections.abc import Collection, Iterable
from concurrent.futures import Future
from typing import Any

from hybrid_tasks.grouping import grouped
from hybrid_tasks.outbox.writes import Write

logger = logging.getLogger("hybrid_tasks")


def answer(writes: Collection[Write]) -> None:
    """Tell all who wait; those on one loop with one call, which costs a system call."""
    settle_all(write for write in writes if isinstance(write.future, Future))
    on_loops = ((write.loop, write) for write in writes if write.loop is not None)
    for loop, waiting in grouped(on_loops).items():
        try:
            loop.call_soon_threadsafe(settle_all, waiting)
        except RuntimeError:  # the loop is closed, and who waited on it is gone
            logger.warning("%d tasks were written for a loop that is closed", len(waiting))


def settle_all(writes: Iterable[Write]) -> None:
    for write in writes:
        settle(write)


def settle(write: Write) -> None:
    future: Any = write.future
    if future.done():
        return
    if isinstance(write.outcome, BaseException):
        future.set_exception(write.outcome)
    else:
        future.set_result(write.outcome)
