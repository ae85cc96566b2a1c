"""Waits for conditions on the event loop, with a bound."""

import asyncio
from collections.abc import Callable
from typing import Any

from hybrid_tasks.results.task_result import TaskResult
from tests.processes import PATIENCE


async def until(condition: Callable[[], Any], what: str) -> Any:
    """Return what `condition()` returns as soon as that is true; fail the test if it never is."""
    try:
        async with asyncio.timeout(PATIENCE):
            while not (value := condition()):  # noqa: ASYNC110 - it may lie in another process
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"not within {PATIENCE:g} s: {what}") from None
    return value


async def refreshed_until[R](
    result: TaskResult[R], condition: Callable[[TaskResult[R]], Any], what: str
) -> TaskResult[R]:
    """Refresh `result` until `condition(result)` is true; return it."""
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                await result.arefresh()
                if condition(result):
                    return result
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"not within {PATIENCE:g} s: {what}; it is {result}") from None


async def finished[R](result: TaskResult[R]) -> TaskResult[R]:
    """Refresh `result` until it has ended; return it."""
    return await refreshed_until(result, lambda it: it.is_finished, "the task ends")
