"""Liveness and readiness: of a server whose parts come and go, and under a flood."""

import asyncio
import threading
from pathlib import Path

import httpx
import psutil
import pytest

from hybrid_tasks.lifespan import Receive, Scope, Send
from project.health import Health
from project.readiness import Part, Readiness
from tests.acceptance.patient import get
from tests.conftest import StartWeb, running_broker
from tests.postgres import Postgres, running_postgres
from tests.processes import PATIENCE, wait_until
from tests.project.test_settings import manage


def answer(url: str, path: str = "/readyz/") -> tuple[int, str]:
    # As a load balancer asks: by an address that is no allowed host, and without TLS.
    response = get(url + path, headers={"Host": "10.0.0.7"})
    return response.status_code, response.text


def freeze(postgres: Postgres) -> list[psutil.Process]:
    """Stop every process of the server: connections are taken and never answered."""
    server = psutil.Process(postgres.process.pid)
    processes = [server, *server.children(recursive=True)]
    for process in processes:
        process.suspend()
    return processes


def test_readiness_follows_the_parts_and_liveness_does_not(
    start_web: StartWeb, tmp_path: Path
) -> None:
    (tmp_path / "broker").mkdir()
    with running_postgres(tmp_path) as postgres:
        with running_broker(tmp_path / "broker") as broker_url:
            env = {"DATABASE_URL": postgres.url, "REDIS_URL": broker_url}
            url, web = start_web(DEBUG="false", HTTPS_ONLY="true", **env)
            assert answer(url) == (503, "not ready: migrations")
            migrated = manage("migrate", "--verbosity", "0", SECRET_KEY="x", **env)
            assert migrated.returncode == 0, migrated.stderr
            wait_until(lambda: answer(url) == (200, "ok"), "it is ready")

            frozen = freeze(postgres)
            wait_until(lambda: answer(url) == (503, "not ready: database"), "it hangs")
            assert answer(url, "/healthz/") == (200, "ok")
            for process in frozen:
                process.resume()
            wait_until(lambda: answer(url) == (200, "ok"), "the database is back")

            postgres.stop()
            wait_until(lambda: answer(url) == (503, "not ready: database"), "it is away")
            postgres.start()
            wait_until(lambda: answer(url) == (200, "ok"), "the database is back again")
        wait_until(lambda: answer(url) == (503, "not ready: cache"), "Redis is away")
        assert answer(url, "/healthz/") == (200, "ok")
        frozen = freeze(postgres)
        wait_until(lambda: answer(url) == (503, "not ready: database, cache"), "both are")
        # What hangs does not keep the server from its stop.
        web.stop(seconds=30)
        for process in frozen:
            process.resume()


async def pass_on(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b"passed on"})


class Counted:
    """A part that is asked in threads; it answers when it is allowed to."""

    def __init__(self) -> None:
        self.asked = 0
        self.begun, self.may_answer = threading.Event(), threading.Event()
        self.answer = ""

    def __call__(self) -> str:
        self.asked += 1
        self.begun.set()
        self.may_answer.wait()
        if self.answer == "an error":
            raise OSError("cannot connect to secret.internal as smokehouse")
        return self.answer


@pytest.fixture
def part() -> Counted:
    return Counted()


@pytest.fixture
def client(part: Counted) -> httpx.AsyncClient:
    health = Health(pass_on, Readiness([Part("database", part)]))
    transport = httpx.ASGITransport(health)  # type: ignore[arg-type]  # httpx has no ASGI types
    return httpx.AsyncClient(transport=transport, base_url="http://x")


async def test_a_flood_asks_once(client: httpx.AsyncClient, part: Counted) -> None:
    part.may_answer.set()
    responses = await asyncio.gather(*(client.get("/readyz/") for _ in range(200)))
    assert {response.status_code for response in responses} == {200}
    assert part.asked == 1


async def test_a_part_that_hangs_is_asked_once_and_given_up(
    client: httpx.AsyncClient, part: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("project.readiness.LIMIT", 0.05)
    monkeypatch.setattr("project.readiness.KEEP", 0.0)
    for _ in range(3):
        response = await client.get("/readyz/")
        assert (response.status_code, response.text) == (503, "not ready: database")
    assert part.asked == 1
    part.may_answer.set()
    async with asyncio.timeout(PATIENCE):
        while (await client.get("/readyz/")).status_code != 200:
            pass


async def test_an_error_is_for_the_log_alone(
    client: httpx.AsyncClient, part: Counted, caplog: pytest.LogCaptureFixture
) -> None:
    part.answer = "an error"
    part.may_answer.set()
    response = await client.get("/readyz/")
    assert (response.status_code, response.text) == (503, "not ready: database")
    assert "secret.internal" in caplog.text


async def test_a_visitor_who_leaves_takes_nobody_along(
    client: httpx.AsyncClient, part: Counted
) -> None:
    first = asyncio.create_task(client.get("/readyz/"))
    second = asyncio.create_task(client.get("/readyz/"))
    assert await asyncio.to_thread(part.begun.wait, PATIENCE)
    first.cancel()
    part.may_answer.set()
    assert (await second).status_code == 200


async def test_other_addresses_are_passed_on(client: httpx.AsyncClient) -> None:
    assert (await client.get("/readyz")).text == "passed on"
    assert (await client.get("/healthz/")).text == "ok"
