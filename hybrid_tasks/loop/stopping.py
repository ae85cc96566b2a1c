"""Tells long responses that the server is stopping.

A server waits for open responses before it says so by lifespan: an event stream would keep it from
stopping. So the signal itself is listened to, before the server's own handler.
"""

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT)

_stopping: asyncio.Event | None = None


def stopping() -> bool:
    """Return whether the server of this process was told to stop."""
    return _stopping is not None and _stopping.is_set()


async def until_stopping() -> None:
    """Return when the server of this process is told to stop; never, without a server."""
    if _stopping is None:
        await asyncio.get_running_loop().create_future()
    else:
        await _stopping.wait()


@asynccontextmanager
async def watch_signals() -> AsyncIterator[None]:
    """Let `stopping` know of SIGTERM and SIGINT; the handlers that were there are still called."""
    global _stopping
    _stopping = told = asyncio.Event()
    loop = asyncio.get_running_loop()
    previous: dict[int, Callable[[int, FrameType | None], Any]] = {}

    def tell(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(told.set)
        previous[number](number, frame)

    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            handler = signal.getsignal(number)
            # One that the process leaves to the system would be lost to a handler of ours.
            if callable(handler):
                previous[number] = handler
                signal.signal(number, tell)
    try:
        yield
    finally:
        told.set()
        for signal_number, handler in previous.items():
            if signal.getsignal(signal_number) is tell:
                signal.signal(signal_number, handler)
