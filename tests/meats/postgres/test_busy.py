"""More wanted than there is, and a database that is away: a wait, then 503, and never a 500."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NoReturn

import httpx
import psycopg
import pytest
import redis

from tests.meats.postgres.conftest import Build
from tests.meats.postgres.crowd import HTML, Watch
from tests.meats.smokehouse import Smokehouse, Visitor
from tests.postgres import Postgres
from tests.processes import wait_until

EVERYTHING = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"


@contextmanager
def locked(shop: Smokehouse) -> Iterator[None]:
    """Let nobody read orders, and so the home page, in the block."""
    with psycopg.connect(shop.env["DATABASE_URL"]) as connection:
        connection.execute("LOCK TABLE meats_order IN ACCESS EXCLUSIVE MODE")
        yield


def home(shop: Smokehouse) -> httpx.Response:
    return httpx.get(shop.url, headers=HTML, timeout=60)


def test_one_connection_is_enough_for_everything(build: Build) -> None:
    """Whoever waits for a connection, or for who waits for one, must hold none."""
    # Longer than the visitor waits: two that need each other's would fail it.
    shop = build(DATABASE_POOL_MAX="1", DATABASE_POOL_TIMEOUT="120")
    shop.mail.start()
    shop.partner.start()
    shop.start_web()
    visitor = shop.visitor()
    with visitor.http:
        visit(shop, visitor)


def visit(shop: Smokehouse, visitor: Visitor) -> None:
    path = visitor.order()
    *_, last = visitor.events(path)
    assert {task["state"] for task in last["tasks"].values()} == {"SUCCESSFUL"}
    assert visitor.http.get(path).status_code == 200
    # What the cache has lost is looked up in the outbox, by threads beside the request's.
    with redis.Redis.from_url(shop.env["REDIS_URL"].removesuffix("/0") + "/1") as cache:
        cache.flushdb()
    assert visitor.http.get(path).status_code == 200
    assert visitor.http.get(f"/tasks/{last['tasks']['smoke']['id']}/").status_code == 404


async def test_who_finds_no_connection_waits_and_is_asked_to_come_back(
    build: Build, server: Postgres
) -> None:
    shop = build(DATABASE_POOL_MAX="2", DATABASE_POOL_TIMEOUT="1", DATABASE_LOCK_TIMEOUT="0")
    shop.start_web()
    async with (
        Watch(server) as watch,
        httpx.AsyncClient(base_url=shop.url, timeout=60, headers=HTML) as http,
    ):
        with locked(shop):
            asked = [asyncio.create_task(http.get("/")) for _ in range(12)]
            await until_done(asked, 10)
            refused = [each.result() for each in asked if each.done()]
            (reason,) = {answer.headers["Retry-After"] for answer in refused}
            assert int(reason) > 0
            assert [answer.status_code for answer in refused] == [503] * 10
            assert min(answer.elapsed.total_seconds() for answer in refused) > 0.9
        answers = await asyncio.gather(*asked)
        assert sorted(answer.status_code for answer in answers) == [200] * 2 + [503] * 10
        assert watch.most <= 2 + 1 + 1  # the pool, the outbox and the lock


async def until_done(asked: list[asyncio.Task[httpx.Response]], count: int) -> None:
    left: set[asyncio.Task[httpx.Response]] = set(asked)
    while len(left) > len(asked) - count:
        _, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)


def test_a_lock_is_waited_for_so_long(build: Build) -> None:
    shop = build(DATABASE_LOCK_TIMEOUT="0.5")
    web = shop.start_web()
    with locked(shop):
        answer = home(shop)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "GET / is answered with 503: canceling statement due to lock timeout" in web.output()
    assert home(shop).status_code == 200


@pytest.mark.parametrize("pool", ["0", "5"])
def test_a_server_without_a_place(build: Build, server: Postgres, pool: str) -> None:
    shop = build(DATABASE_POOL_MAX=pool, DATABASE_POOL_TIMEOUT="1")
    shop.start_web()
    assert home(shop).status_code == 200
    with ExitStack() as others:
        with pytest.raises(psycopg.OperationalError, match="too many clients"):
            take_all_places(server, others)
        # A pool goes on with the connection that it has.
        assert home(shop).status_code == (200 if pool != "0" else 503)
    wait_until(lambda: answered(shop) == 200, "the home page is back")


@pytest.mark.parametrize("pool", ["0", "5"])
def test_a_server_that_is_away_and_comes_back(build: Build, server: Postgres, pool: str) -> None:
    shop = build(DATABASE_POOL_MAX=pool, DATABASE_POOL_TIMEOUT="1")
    shop.start_web()
    assert home(shop).status_code == 200
    server.stop()
    assert home(shop).status_code == 503
    server.start()
    wait_until(lambda: answered(shop) == 200, "the home page is back")
    # Connections that have broken while nobody used them are not given to anybody.
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(EVERYTHING)
    assert [home(shop).status_code for _ in range(5)] == [200] * 5


def take_all_places(server: Postgres, others: ExitStack) -> NoReturn:
    while True:
        others.enter_context(psycopg.connect(server.url))


def answered(shop: Smokehouse) -> int:
    """Return the status of the home page, which is never another one than these."""
    status = home(shop).status_code
    assert status in (200, 503)
    return status
