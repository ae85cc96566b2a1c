"""A mail server that needs a second for each mail and keeps nothing."""

import asyncio
from typing import Any

SECONDS = 1.0


class SlowSink:
    """See aiosmtpd.handlers.Sink."""

    async def handle_DATA(self, *_arguments: Any) -> str:  # noqa: N802 - the package's name
        await asyncio.sleep(SECONDS)
        return "250 OK"
