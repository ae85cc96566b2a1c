"""A mail server's folder that takes its time."""

import asyncio
from typing import Any, Self

from aiosmtpd.handlers import Mailbox


class LateMailbox(Mailbox):  # type: ignore[misc]  # the package has no types
    """A folder that keeps a mail `seconds` after it came.

    For aiosmtpd's --class, with the folder and, unless they are those of the class, the seconds.
    """

    seconds = 1.0

    @classmethod
    def from_cli(cls, parser: Any, directory: str, *seconds: str) -> Self:
        """See aiosmtpd's."""
        mailbox: Self = super().from_cli(parser, directory)
        if seconds:
            mailbox.seconds = float(*seconds)
        return mailbox

    async def handle_DATA(self, *arguments: Any) -> Any:  # noqa: N802 - the package's name
        await asyncio.sleep(self.seconds)
        return await super().handle_DATA(*arguments)
