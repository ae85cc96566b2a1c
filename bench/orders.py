"""python -m bench.orders: the order view's time to answer, and what open event streams cost.

Three servers answer in turn in one run: with the four side effects on the event loop, without any,
and with four tasks sent by Celery's `.delay()`. Mail server, partner, broker and database are real.
"""

import asyncio
import secrets
import statistics
import time
from contextlib import AsyncExitStack
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urljoin
from uuid import uuid4

import httpx
import psutil

from tests.conftest import BIN
from tests.meats.smokehouse import VISITOR, Smokehouse
from tests.processes import Process, free_port

ALONE = 80
ROUNDS = 7
ORDERS = 40  # in each round
STREAMS = 500
WATCHED = 25  # orders of 20 meats, which the streams share: they take 40 s
ARRIVING = 200
LARGE = ", ".join(f"meat {number}" for number in range(19))
SETTINGS = {
    "SECRET_KEY": "only-for-benchmarks",
    "DEBUG": "false",
    "HTTPS_ONLY": "false",
    "POST_RATE": "1000000/minute",
    "MAX_STREAMS_PER_ADDRESS": "1000",
    "STEP_SECONDS": "0.05",
    "LOG_LEVEL": "INFO",  # of tasks and requests, as in production
}


class Shop:
    """One running server, and a visitor who orders."""

    def __init__(self, smokehouse: Smokehouse, effects: str, **env: str) -> None:
        port = free_port()
        self.effects = effects
        self.url = f"http://127.0.0.1:{port}"
        command = [str(BIN / "uvicorn"), "bench.orders_asgi:application", f"--port={port}"]
        command += ["--no-access-log", "--timeout-graceful-shutdown=1"]
        env = smokehouse.env | {"EFFECTS": effects} | env
        self.process = Process(command, env, smokehouse.log(f"web-{effects}"))
        smokehouse.parts.push(self.process)

    async def open(self) -> None:
        self.process.wait_for("Uvicorn running")
        # Known to both sides, so no page has to be read first.
        self.secret = secrets.token_hex(16)
        self.http = httpx.AsyncClient(
            base_url=self.url,
            timeout=120,
            limits=httpx.Limits(max_connections=None),
            cookies={"csrftoken": self.secret},
            headers={"X-CSRFToken": self.secret},
        )

    async def order(self, more: str = "") -> tuple[float, str]:
        """Order ribs and `more`; return the milliseconds until the answer, and the order's path."""
        form = {**VISITOR, "more": more, "token": str(uuid4())}
        began = time.perf_counter()
        response = await self.http.post("/orders/", data=form)
        took = (time.perf_counter() - began) * 1000
        if response.status_code != HTTPStatus.FOUND:
            raise RuntimeError(f"{response.status_code}: {self.process.output()[-3000:]}")
        return took, response.headers["Location"]

    def memory(self) -> int:
        return psutil.Process(self.process.pid).memory_info().rss


async def many(shop: Shop, count: int, at_once: int) -> list[float]:
    """Return the milliseconds of `count` orders, `at_once` of them at a time."""

    async def some() -> list[float]:
        return [(await shop.order())[0] for _ in range(count // at_once)]

    return [
        took for part in await asyncio.gather(*(some() for _ in range(at_once))) for took in part
    ]


def summary(figures: list[float]) -> str:
    median, *_, last = statistics.quantiles(figures, n=20)[9::9]
    return f"median {median:6.1f} ms, 95 % within {last:6.1f} ms, slowest {max(figures):6.1f} ms"


async def compare(shops: list[Shop]) -> None:
    figures: dict[str, list[float]] = {shop.effects: [] for shop in shops}
    for shop in shops:
        await many(shop, 20, 1)  # warm
    for _ in range(ALONE):
        for shop in shops:
            await asyncio.sleep(0.2)  # what the order before has started is over
            figures[shop.effects].append((await shop.order())[0])
    report(f"one order on an idle server, {ALONE} times", figures)

    figures = {shop.effects: [] for shop in shops}
    for _ in range(ROUNDS):
        for shop in shops:
            figures[shop.effects] += await many(shop, ORDERS, 10)
            await asyncio.sleep(1)  # its side effects must not slow the next server down
    report(f"10 orders at a time, {ROUNDS * ORDERS} in all", figures)


def report(title: str, figures: dict[str, list[float]]) -> None:
    print(f"POST /orders/, {title}:")
    for effects, taken in figures.items():
        print(f"  {effects:<7} {summary(taken)}")


async def watch(shop: Shop) -> None:
    """Print what open streams cost: memory for each, and the time to answer beside them."""
    await many(shop, 20, 10)  # warm
    alone = await many(shop, ARRIVING, 10)
    print(f"{ARRIVING} orders, 10 at a time, no streams:   {summary(alone)}")
    await asyncio.sleep(3)
    paths = [(await shop.order(LARGE))[1] for _ in range(WATCHED)]
    async with AsyncExitStack() as open_streams:

        async def open_one(path: str) -> None:
            request = shop.http.stream("GET", urljoin(path, "events/"))
            response = await open_streams.enter_async_context(request)
            lines = response.aiter_lines()
            while not (await anext(lines)).startswith("data: "):
                pass

        await open_one(paths[0])
        before = shop.memory()
        for _ in range(STREAMS // WATCHED):
            await asyncio.gather(*map(open_one, paths))
        await asyncio.sleep(2)
        each = (shop.memory() - before) / STREAMS / 1024
        print(f"{STREAMS} open streams: {each:.1f} KiB of memory each")
        beside = await many(shop, ARRIVING, 10)
        print(f"{ARRIVING} orders, 10 at a time, {STREAMS} streams: {summary(beside)}")


async def measure(smokehouse: Smokehouse) -> None:
    shops = [Shop(smokehouse, effects) for effects in ("none", "loop", "celery")]
    for shop in shops:
        await shop.open()
    await compare(shops)
    for shop in shops:
        await shop.http.aclose()
        shop.process.kill()
    slow = Shop(smokehouse, "loop", STEP_SECONDS="1")
    await slow.open()
    await watch(slow)
    slow.process.kill()


def main() -> None:
    with TemporaryDirectory() as name:
        smokehouse = Smokehouse(Path(name), **SETTINGS)
        try:
            smokehouse.mail.start()
            smokehouse.partner.start()
            asyncio.run(measure(smokehouse))
        finally:
            smokehouse.close()


if __name__ == "__main__":
    main()
