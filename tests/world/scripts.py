"""What attempts are written to raise or return, and which errors come of it."""

import asyncio
from typing import Any

RAISED: dict[str, type[BaseException]] = {
    "raise": ValueError,
    "exit": SystemExit,
    "interrupt": KeyboardInterrupt,
    "close": GeneratorExit,
    "cancel itself": asyncio.CancelledError,
    "run out of memory": MemoryError,
}
VALUES: dict[str, Any] = {"return nonsense": object(), "return a long number": 10**5000}
# Backoffs whose answers are no time, and the errors by which that, or such a value, is refused.
BROKEN = {"infinite", "a_delta", "a_coroutine", "failing"}
UNFIT: list[type[BaseException]] = [TypeError, ValueError, OverflowError, SystemExit]
