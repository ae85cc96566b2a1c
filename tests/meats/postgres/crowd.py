"""Many visitors at once, and how many connections the server's database then has."""

import asyncio
import re
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Self
from uuid import uuid4

import httpx
import psycopg

from tests.meats.smokehouse import VISITOR, Smokehouse
from tests.postgres import CLIENTS, Postgres

HTML = {"Accept": "text/html"}


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
        rows = await self._connection.execute(CLIENTS)
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
