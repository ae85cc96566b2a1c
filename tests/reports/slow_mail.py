"""A mail server's folder that takes its time, so that whoever is killed is at work still."""

import asyncio
from typing import Any

from aiosmtpd.handlers import Mailbox

SECONDS = 0.25  # for each mail


class SlowMailbox(Mailbox):  # type: ignore[misc]  # the package has no types
    async def handle_DATA(self, *arguments: Any) -> Any:  # noqa: N802 - the package's name
        await asyncio.sleep(SECONDS)
        return await super().handle_DATA(*arguments)
