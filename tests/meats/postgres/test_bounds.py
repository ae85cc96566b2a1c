"""The table of docs/postgresql.md: how many connections each process has at most, under load."""

import asyncio
import sys
from collections import Counter
from typing import Self

import httpx
import psutil
import psycopg

from tests.conftest import BIN, ROOT
from tests.meats.postgres.conftest import Build
from tests.meats.postgres.crowd import HTML, tell, watched
from tests.meats.smokehouse import Smokehouse
from tests.postgres import Postgres
from tests.processes import Process, wait_until

POOL = 5
# By its pool, and the outbox's own; a child has one thread besides, and one for dead letters.
BOUNDS = {
    "web": POOL + 1,
    "worker": 1,
    "worker's child": 3,
    "beat": 2,
    "relay": 2,
    "flower": 0,
}
CELERY = (str(BIN / "celery"), "--quiet", "-A", "project")


class Books:
    """The most connections to a server that processes were seen to have, by kind."""

    def __init__(self, server: Postgres, **processes: Process) -> None:
        self.most: Counter[str] = Counter()
        self._port = int(server.url.rpartition(":")[2].partition("/")[0])
        self._processes = processes

    def look(self) -> None:
        for kind, process in self._processes.items():
            main = psutil.Process(process.pid)
            self._note(kind, main)
            for child in main.children(recursive=True):
                self._note(f"{kind}'s child", child)

    def _note(self, kind: str, process: psutil.Process) -> None:
        try:
            opened = process.net_connections("tcp4")
        except psutil.NoSuchProcess:
            return
        count = sum(bool(each.raddr) and each.raddr.port == self._port for each in opened)
        self.most[kind] = max(self.most[kind], count)

    async def __aenter__(self) -> Self:
        self._looking = asyncio.create_task(self._look_on())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._looking.cancel()

    async def _look_on(self) -> None:
        while True:
            await asyncio.to_thread(self.look)
            await asyncio.sleep(0.02)


def start(shop: Smokehouse, name: str, *command: str) -> Process:
    process = Process(command, shop.env, shop.log(name))
    shop.parts.push(process)
    return process


def reported(shop: Smokehouse) -> bool:
    with psycopg.connect(shop.env["DATABASE_URL"]) as connection:
        states = connection.execute("SELECT state FROM reports_reportrun").fetchall()
    return states == [("finished",)]


async def test_no_process_has_more_than_the_table_says(build: Build, server: Postgres) -> None:
    shop = build(DATABASE_POOL_MAX=str(POOL), STEP_SECONDS="1", REPORT_CHUNK="5")
    shop.manage("sync_schedules")
    shop.manage("seed_demo", "--customers", "60", "--orders", "400")
    shop.mail.start("tests.reports.slow_mail.SlowMailbox", str(shop.mail.directory))
    shop.partner.start()
    worker = start(shop, "worker", *CELERY, "worker", "--concurrency=2", "--queues=default,heavy")
    processes = {
        "web": shop.start_web(),
        "worker": worker,
        "beat": start(shop, "beat", *CELERY, "beat", "--pidfile="),
        "relay": start(shop, "relay", sys.executable, str(ROOT / "manage.py"), "relay_outbox"),
        "flower": start(shop, "flower", *CELERY, "flower", "--port=0"),
    }
    worker.wait_for(" ready.")
    statuses: Counter[int] = Counter()
    async with Books(server, **processes) as books, watched(server, shop) as (watch, crowd):
        shop.manage("send_reports", "--period", "2026-10")
        # Eight at once for each connection of the pool.
        pages = [asyncio.create_task(look_around(crowd.http, statuses)) for _ in range(8 * POOL)]
        ordered = await crowd.at_rate(60, 6, crowd.order)
        psutil.Process(worker.pid).children()[0].kill()
        for page in pages:
            page.cancel()
        await asyncio.gather(*pages, return_exceptions=True)
        await asyncio.to_thread(wait_until, lambda: reported(shop), "the reports are sent")
    tell("connections at most", in_all=watch.most, **books.most)
    tell("orders", **{str(status): count for status, count in Counter(ordered).items()})
    tell("pages", **{str(status): count for status, count in statuses.items()})
    assert set(ordered) <= {302, 503}
    assert set(statuses) <= {200, 503}
    assert not [kind for kind, most in books.most.items() if most > BOUNDS[kind]], books.most
    assert books.most["web"] >= POOL, "there was no load to speak of"
    assert watch.most <= sum(BOUNDS.values()) + BOUNDS["worker's child"]


async def look_around(http: httpx.AsyncClient, statuses: Counter[int]) -> None:
    while True:
        statuses[(await http.get("/", headers=HTML)).status_code] += 1
