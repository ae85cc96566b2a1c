"""A1, A2: how many connections to PostgreSQL the web server has, with and without much to wait for.

The server allows 100 connections, PostgreSQL's default. `pytest -s` shows the figures.
"""

import asyncio
import re
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import httpx
import psycopg
import pytest

from tests.meats.smokehouse import VISITOR, Smokehouse
from tests.postgres import Postgres, running_postgres

# What one web process may have: its pool, and the outbox's own connection.
BOUND = 20 + 1
STREAMS = 100  # as many as PostgreSQL has connections
HTML = {"Accept": "text/html"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A server on which nobody else has connections."""
    with running_postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


type Build = Callable[..., Smokehouse]


@pytest.fixture
def build(tmp_path: Path, server: Postgres) -> Iterator[Build]:
    """A function that makes a smokehouse, with the variables given, on a database of its own."""
    name = f"shop_{uuid4().hex[:8]}"
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    url = server.url.removesuffix("/postgres") + f"/{name}"
    made: list[Smokehouse] = []

    def start(**env: str) -> Smokehouse:
        shop = Smokehouse(tmp_path, DATABASE_URL=url, POST_RATE="10000/minute", **env)
        made.append(shop)
        return shop

    yield start
    for shop in made:
        shop.close()


class Watch:
    """Counts the connections to a server ten times a second; `most` is the highest count."""

    def __init__(self, server: Postgres) -> None:
        self._url = server.url
        self.most = 0

    async def __aenter__(self) -> Self:
        # Opened first: later there might be no place.
        self._connection = await psycopg.AsyncConnection.connect(self._url, autocommit=True)
        self._counting = asyncio.create_task(self._count_on())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._counting.cancel()
        await self._connection.close()

    async def count(self) -> int:
        rows = await self._connection.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        ((number,),) = await rows.fetchall()
        self.most = max(self.most, number)
        return int(number)

    async def _count_on(self) -> None:
        while True:
            await self.count()
            await asyncio.sleep(0.1)


class Crowd:
    """Many visitors, each from an address of its own as a proxy in front tells it."""

    def __init__(self, shop: Smokehouse) -> None:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        self.http = httpx.AsyncClient(base_url=shop.url, timeout=60, limits=limits)
        self._fields: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        page = (await self.http.get("/", headers=HTML)).text
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        assert found
        self._fields = {**VISITOR, "csrfmiddlewaretoken": found[1]}
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()

    def address(self, number: int) -> dict[str, str]:
        return {"X-Forwarded-For": f"10.0.{number // 250}.{number % 250 + 1}"}

    async def order(self, number: int, **fields: str) -> httpx.Response:
        own = {"token": str(uuid4()), "email": f"visitor{number}@example.com"}
        return await self.http.post(
            "/orders/", data={**self._fields, **own, **fields}, headers=self.address(number)
        )

    async def at_rate(
        self, count: int, seconds: float, act: Callable[[int], Awaitable[httpx.Response]]
    ) -> list[int]:
        """Do something `count` times, evenly over `seconds`; return the statuses."""
        acts = []
        began = time.monotonic()
        for number in range(count):
            await asyncio.sleep(max(0.0, began + number * seconds / count - time.monotonic()))
            acts.append(asyncio.ensure_future(act(number)))
        return [answer.status_code for answer in await asyncio.gather(*acts)]

    async def home(self) -> int:
        return (await self.http.get("/", headers=HTML)).status_code


@asynccontextmanager
async def watched(server: Postgres, shop: Smokehouse) -> AsyncIterator[tuple[Watch, Crowd]]:
    async with Watch(server) as watch, Crowd(shop) as crowd:
        yield watch, crowd


def tell(what: str, **figures: Any) -> None:
    said = ", ".join(f"{name} {figure}" for name, figure in figures.items())
    sys.stdout.write(f"\n{what}: {said}\n")


async def test_open_streams_hold_no_connections(build: Build, server: Postgres) -> None:
    """A1: with as many open order pages as connections, all others were answered with 500."""
    shop = build(STEP_SECONDS="30")
    shop.start_web()
    async with watched(server, shop) as (watch, crowd), AsyncExitStack() as streams:
        path = (await crowd.order(0)).headers["Location"] + "events/"
        statuses, readers = [], []
        for number in range(STREAMS):
            stream = await streams.enter_async_context(
                crowd.http.stream("GET", path, headers=crowd.address(number))
            )
            statuses.append(stream.status_code)
            # Kept: a reader that is forgotten closes its stream.
            readers.append(lines := stream.aiter_lines())
            await anext(lines)
        connections = await watch.count()
        home = [await crowd.home() for _ in range(5)]
        tell(
            f"A1, {STREAMS} streams",
            open=statuses.count(200),
            connections=connections,
            most=watch.most,
            home=home,
        )
        assert statuses == [200] * STREAMS
        assert home == [200] * 5
        assert watch.most <= BOUND


async def test_tasks_that_take_long_hold_no_connections(build: Build, server: Postgres) -> None:
    """A2: a hundred orders that were being smoked took all connections."""
    shop = build(STEP_SECONDS="30")
    shop.mail.start()
    shop.partner.start()
    shop.start_web()
    async with watched(server, shop) as (watch, crowd):
        ordered = await crowd.at_rate(100, 12, crowd.order)
        connections = await watch.count()
        home = [await crowd.home() for _ in range(5)]
        tell(
            "A2, 100 long orders in 12 s",
            refused=len(ordered) - ordered.count(302),
            connections=connections,
            most=watch.most,
            home=home,
        )
        assert ordered == [302] * 100
        assert home == [200] * 5
        assert watch.most <= BOUND


async def test_a_slow_mail_server_refuses_no_orders(build: Build, server: Postgres) -> None:
    """A2: with a mail server that needed a second a mail, 18 of 140 orders were refused."""
    shop = build(STEP_SECONDS="1")
    shop.mail.start("tests.meats.slow_mail.SlowSink")
    shop.partner.start()
    shop.start_web()
    async with watched(server, shop) as (watch, crowd):
        ordered = await crowd.at_rate(140, 14, crowd.order)
        tell(
            "A2, 140 orders in 14 s, 1 s a mail",
            refused=len(ordered) - ordered.count(302),
            most=watch.most,
        )
        assert ordered == [302] * 140
        assert watch.most <= BOUND
