"""Calls in threads, which leave nothing behind there."""

import asyncio
from collections.abc import Callable
from typing import Any

from hybrid_tasks.execution.threads import then_close


async def in_thread(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call `function` in a thread, and leave no database connection behind in that."""
    return await asyncio.to_thread(then_close, lambda: function(*args, **kwargs))
