"""Floods of each page that starts work: an order's mail must not wait for them."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable

import pytest

from tests.processes import wait_until
from tests.siege.conftest import Build, Report
from tests.siege.reporting import Line
from tests.siege.scale import WHOLE, scaled
from tests.siege.strangers import Stranger, strangers

EXAMPLES = ("/smoke_some_meats/", "/sync_to_async/", "/async/", "/sync/")
CROWDS = (30, 1)
MAIL_AIM = 5.0  # seconds until the mail that an order starts is there


@pytest.mark.parametrize("path", EXAMPLES if WHOLE else EXAMPLES[:2])
@pytest.mark.parametrize("visitors", CROWDS if WHOLE else CROWDS[:1])
async def test_a_flood_of_examples(
    path: str, visitors: int, fortress: Build, report: Report
) -> None:
    """A7, A8: 300 of these delayed the next confirmation by 118 s."""
    shop = fortress(SERVE_EXAMPLES="true", STEP_SECONDS="1")
    flood = scaled(300)
    async with strangers(shop.url, visitors) as who:
        with shop.watch() as watch:
            asking = [
                asyncio.create_task(who[number % visitors].get(path)) for number in range(flood)
            ]
            await asyncio.sleep(0.5)  # they are on their way
            waited = await seconds_until_mail(shop.url, lambda: len(shop.mail.received()))
            answered = Counter(await asyncio.gather(*asking))
    assert waited < MAIL_AIM * 6, f"the mail came after {waited:.1f} s"
    assert set(answered) <= {200, 429, 502, 503}
    told = ", ".join(f"{status}: {number}" for status, number in sorted(answered.items()))
    brought = f"{flood} GETs by {visitors}, then an order"
    told += f"; mail in {waited:.1f} s"
    report(Line(f"flood of {path}", brought, told, watch.seen, shop.bound))


async def seconds_until_mail(url: str, received: Callable[[], object]) -> float:
    """Order, and return the seconds until there is a mail."""
    guest = Stranger(url, 5_000)
    try:
        began = time.monotonic()
        await guest.order("paying@example.com")
        await asyncio.to_thread(wait_until, received, "the mail of the order is there")
        return time.monotonic() - began
    finally:
        await guest.leave()
