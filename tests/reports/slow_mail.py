"""Mail servers' folders that take their time, so that whoever is killed is at work still."""

from collections import Counter
from typing import Any
from zlib import crc32

from tests.late_mail import LateMailbox

SECONDS = 0.25  # for each mail
TIMES = 2  # that an address is refused for now


class SlowMailbox(LateMailbox):
    seconds = SECONDS


class MoodyMailbox(SlowMailbox):
    """Refuses each tenth address for now, twice; some for good, and some for now for ever."""

    seconds = SECONDS / 5

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.refused: Counter[str] = Counter()

    async def handle_RCPT(  # noqa: N802
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        if address.startswith("gone."):
            return "550 5.1.1 No such mailbox"
        if address.startswith("full."):
            return "452 4.2.2 The mailbox is full"
        if is_refused_at_first(address) and self.refused[address] < TIMES:
            self.refused[address] += 1
            return "450 4.7.1 Greylisted"
        envelope.rcpt_tos.append(address)
        return "250 OK"


def is_refused_at_first(address: str) -> bool:
    return crc32(address.encode()) % 10 == 0
