"""Tells the callers of the outbox's writer, in their own threads and loops, what came of it."""

import asyncio
import logging
from collections.abc import Iterable
from concurrent.futures import Future
from typing import Any

from hybrid_tasks.outbox_writes import Write

logger = logging.getLogger("hybrid_tasks")


def answer(writes: Iterable[Write]) -> None:
    """Tell all who wait; those on one loop with one call, which costs a system call."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Write]] = {}
    for write in writes:
        if isinstance(write.future, Future):
            settle(write)
        elif write.loop is not None:
            by_loop.setdefault(write.loop, []).append(write)
    for loop, waiting in by_loop.items():
        try:
            loop.call_soon_threadsafe(settle_all, waiting)
        except RuntimeError:  # the loop is closed, and who waited on it is gone
            logger.warning("%d tasks were written for a loop that is closed", len(waiting))


def settle_all(writes: list[Write]) -> None:
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
