"""Connections that take their time, never end, or bring more than anybody asked for."""

import asyncio
from contextlib import suppress

from tests.siege.conftest import Build, Report
from tests.siege.reporting import Line
from tests.siege.scale import scaled
from tests.siege.strangers import address, call, request, statuses

HOLD = 10.0  # seconds
MIB = 2**20
FORM = "Content-Type: application/x-www-form-urlencoded"


async def test_connections_that_never_say_what_they_want(fortress: Build, report: Report) -> None:
    shop = fortress()
    half = scaled(500)
    opening = [
        call(shop.url, address(number), "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
        for number in range(half)
    ]
    lines = await asyncio.gather(*opening)
    with shop.watch() as watch:
        await asyncio.sleep(HOLD)
    await asyncio.gather(*(line.close() for line in lines))
    report(Line("half-open", f"{half} connections", "nothing", watch.seen, shop.bound))


async def test_bodies_that_come_drop_by_drop(fortress: Build, report: Report) -> None:
    shop = fortress(BODY_TIMEOUT="5")
    slow = scaled(200)
    head = request("POST", "/orders/", FORM, "Content-Length: 1000")
    opening = [call(shop.url, address(number), head) for number in range(slow)]
    lines = await asyncio.gather(*opening)

    async def drip() -> None:
        while True:
            for line in lines:
                with suppress(OSError):
                    line.writer.write(b"a")
            await asyncio.sleep(1)

    dripping = asyncio.create_task(drip())
    with shop.watch() as watch:
        await asyncio.gather(*(line.hear() for line in lines))
    dripping.cancel()
    answered = statuses(lines)
    await asyncio.gather(*(line.close() for line in lines))
    assert answered == {408: slow}
    told = f"408: {answered[408]}"
    report(Line("slow bodies", f"{slow} at 1 byte/s", told, watch.seen, shop.bound))


async def test_bodies_larger_than_any_form(fortress: Build, report: Report) -> None:
    """A19: 299 MB were spooled to the disk."""
    shop = fortress()
    large = scaled(50)
    sizes = []
    for _ in range(2):
        with shop.watch() as watch:
            answered = [await bring(shop.url, number, megabytes=300) for number in range(large)]
        sizes.append(shop.memory())
    assert {status for status, _ in answered} <= {413, 0}  # or cut off before it was heard
    taken = max(taken for _, taken in answered)
    assert taken < 300, "all of it was read"
    growth = sizes[1] / sizes[0] - 1
    told = f"413 or cut off after {taken} MiB at most"
    report(Line("large bodies", f"{large} of 300 MiB", told, watch.seen, shop.bound, growth))


async def bring(url: str, number: int, megabytes: int) -> tuple[int, int]:
    """Send a body in chunks; return the status of the answer and the MiB that went out."""
    line = await call(
        url, address(number), request("POST", "/", FORM, "Transfer-Encoding: chunked")
    )
    hearing = asyncio.create_task(line.hear())
    sent = 0
    with suppress(OSError):
        while sent < megabytes and not hearing.done():
            line.writer.write(f"{MIB:x}\r\n".encode() + bytes(MIB) + b"\r\n")
            await line.writer.drain()
            sent += 1
    status = await hearing
    await line.close()
    return status, sent
