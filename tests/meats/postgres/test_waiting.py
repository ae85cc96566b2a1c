"""A1, A2: how many connections the web server has while much waits: streams, tasks, mails.

The server allows 100 connections, PostgreSQL's default. `pytest -s` shows the figures.
"""

from contextlib import AsyncExitStack

from tests.meats.postgres.conftest import Build
from tests.meats.postgres.crowd import tell, watched
from tests.postgres import Postgres

STREAMS = 100  # as many as PostgreSQL has connections
BOUND = 20 + 1  # of a web process: its pool, and the outbox's own connection


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
    shop.mail.start("tests.late_mail.LateMailbox", str(shop.mail.directory), "1")
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
