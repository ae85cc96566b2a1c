"""Many orders, while those on whom the shop depends take their time, and while a worker stands."""

import asyncio
import itertools
import signal
import time
from collections import Counter

from tests.processes import wait_until
from tests.siege.conftest import Build, Report
from tests.siege.fortress import Fortress
from tests.siege.partners import SilentPartner
from tests.siege.reporting import Line
from tests.siege.scale import scaled
from tests.siege.strangers import Stranger, strangers

VISITORS = 50
A_MINUTE = 60.0
EACH_MAIL = 2.0  # seconds


async def order_on(who: list[Stranger], orders: int, seconds: float) -> None:
    """Order so often within about that time, as if nobody waited for another."""
    ordering = []
    for number, one in zip(range(orders), itertools.cycle(who), strict=False):
        ordering.append(asyncio.create_task(one.order(f"guest-{number}@example.com")))
        await asyncio.sleep(seconds / orders)
    await asyncio.gather(*ordering)


def lost(shop: Fortress, orders: int) -> int:
    """Return how many orders miss a mail or the call to the partner, or have one twice."""
    mails = Counter(str(mail["To"]) for mail in shop.mail.received())
    calls = Counter(key for key, _ in shop.partner.accepted())
    assert len(shop.partner.accepted()) == len(calls), "a partner was told twice"
    return 2 * orders - len(mails) - len(calls)


async def test_orders_while_the_mail_is_slow_and_the_partner_hangs(
    fortress: Build, report: Report
) -> None:
    """A2: tasks that waited held connections; 18 of 140 orders were refused."""
    shop = fortress()
    shop.mail.restart(EACH_MAIL)
    shop.partner.stop()
    silent = SilentPartner(shop.partner.port)
    orders, seconds = scaled(500), A_MINUTE * scaled(500) / 500
    async with strangers(shop.url, VISITORS) as who:
        with shop.watch() as watch:
            await order_on(who, orders, seconds)
    silent.close()
    shop.partner.start()
    shop.mail.restart(0)
    shop.wait_smoked(orders)
    wait_until(lambda: shop.left() == 0, "the outbox is empty", seconds=300)
    line = Line(
        "orders, slow partners",
        f"{orders} orders in {seconds:.0f} s",
        f"302: {orders}",
        watch.seen,
        shop.bound,
        lost=lost(shop, orders),
    )
    report(line)


async def test_a_burst_at_a_worker_that_stands_still(fortress: Build, report: Report) -> None:
    """The server stops with all of it waiting, and hands it over to nobody who is there."""
    shop = fortress(STEP_SECONDS="0.5", DRAIN_TIMEOUT="1")
    orders = scaled(500)
    for worker in shop.workers:
        worker.popen.send_signal(signal.SIGSTOP)
    async with strangers(shop.url, VISITORS) as who:
        with shop.watch() as watch:
            await order_on(who, orders, orders / 50)
    began = time.monotonic()
    shop.web.stop()
    stopped = time.monotonic() - began
    shop.web = shop.start_web()
    for worker in shop.workers:
        worker.popen.send_signal(signal.SIGCONT)
    shop.wait_smoked(orders)
    wait_until(lambda: shop.left() == 0, "the outbox is empty", seconds=300)
    line = Line(
        "a stopped worker",
        f"{orders} orders in {orders / 50:.0f} s",
        f"302: {orders}; stopped in {stopped:.0f} s",
        watch.seen,
        shop.bound,
        lost=lost(shop, orders),
    )
    report(line)
