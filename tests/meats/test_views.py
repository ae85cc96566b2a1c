"""The article's pages, row by row; what they start runs on this test's event loop."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.test import AsyncClient, Client
from pytest_django import Settings

from hybrid_tasks.backends.eventloop import EventLoopBackend, serve
from hybrid_tasks.exceptions import TaskQueueFull
from meats.menu import DEFAULT_MEATS
from meats.outgoing import shared_client
from project.request_id import RequestIdFilter
from tests.meats.test_forms import XSS

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


class Server:
    """Stands for the ASGI server: what views start ends when `stop` returns."""

    def __init__(self) -> None:
        self._stop = asyncio.Event()
        self._served = asyncio.Event()

    async def run(self) -> None:
        async with shared_client(), serve():
            self._served.set()
            await self._stop.wait()

    async def start(self) -> None:
        self._task = asyncio.create_task(self.run())
        await self._served.wait()

    async def stop(self) -> None:
        self._stop.set()
        await self._task


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    await server.start()
    yield server
    await server.stop()


def text(response: HttpResponseBase) -> str:
    assert isinstance(response, HttpResponse)
    return response.content.decode()


def messages(caplog: pytest.LogCaptureFixture, name: str = "meats.tasks") -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == name]


async def test_index_greets_a_plain_client(async_client: AsyncClient) -> None:
    for headers in ({}, {"accept": "*/*"}, {"accept": "application/json"}):
        response = await async_client.get("/", headers=headers)
        assert response.content == b"Hello, async Django!"
        assert response["Content-Type"] == "text/plain; charset=utf-8"
        assert "Accept" in response["Vary"]


@pytest.mark.django_db
async def test_index_shows_a_browser_the_home_page(async_client: AsyncClient) -> None:
    response = await async_client.get("/", headers={"accept": BROWSER})
    assert response["Content-Type"].startswith("text/html")
    assert "<h1>Hello, async Django!</h1>" in text(response)
    assert "Accept" in response["Vary"]
    assert "/burn_some_meats/" in text(response)


@pytest.mark.django_db
async def test_home_page_hides_the_bad_example_where_it_is_off(
    async_client: AsyncClient, settings: Settings
) -> None:
    settings.SERVE_EXAMPLES = False
    response = await async_client.get("/", headers={"accept": BROWSER})
    assert "/burn_some_meats/" not in text(response)


COUNT = ["1", "2", "3", "4", "5", "<Response [200 OK]>"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/async/", "Non-blocking HTTP request"),
        ("/sync/", "Blocking HTTP request"),
        ("/sync_to_async/", "Non-blocking HTTP request (via sync_to_async)"),
    ],
)
async def test_http_pages_count_and_call_out(
    path: str,
    body: str,
    server: Server,
    async_client: AsyncClient,
    partner_url: str,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings.OUTGOING_URL = partner_url
    response = await async_client.get(path)
    assert (response.status_code, text(response)) == (200, body)
    assert response["Content-Type"] == "text/plain; charset=utf-8"
    await server.stop()
    assert messages(caplog) == COUNT


@pytest.mark.parametrize("path", ["/async/", "/sync_to_async/"])
async def test_a_partner_that_is_away_is_logged_and_not_the_visitors_problem(
    path: str, server: Server, async_client: AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    assert (await async_client.get(path)).status_code == 200
    await server.stop()
    (failure,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "state=FAILED" in failure.getMessage()
    assert failure.exc_info


def test_sync_page_says_that_the_partner_is_away(client: Client) -> None:
    response = client.get("/sync/")
    assert (response.status_code, text(response)) == (
        502,
        "The outgoing request failed: ConnectError.",
    )


async def test_smoke_logs_every_line_in_order(
    server: Server, async_client: AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    response = await async_client.get(
        "/smoke_some_meats/", {"to_smoke": "ice cream,bananas,cheese", "flavor": "Gold Bond"}
    )
    assert text(response) == "Smoking some ice cream, bananas, and cheese...."
    await server.stop()
    assert messages(caplog) == [
        "Smoking some ice cream....",
        "Applying the Gold Bond....",
        "Ice cream smoked.",
        "Smoking some bananas....",
        "Applying the Gold Bond....",
        "Bananas smoked.",
        "Smoking some cheese....",
        "Applying the Gold Bond....",
        "Cheese smoked.",
        "Who doesn't love smoked ice cream?",
    ]


async def test_smoke_without_parameters_smokes_the_houses_own(
    server: Server, async_client: AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    response = await async_client.get("/smoke_some_meats/")
    assert text(response) == "Smoking some meats...."
    await server.stop()
    lines = messages(caplog)
    assert lines[:3] == [
        "Smoking some ribs....",
        "Applying the Sweet Baby Ray's....",
        "Ribs smoked.",
    ]
    assert lines[-2:] == ["Sausage smoked.", "Who doesn't love smoked meats?"]
    assert len(lines) == 3 * len(DEFAULT_MEATS) + 1


@pytest.mark.parametrize(
    ("to_smoke", "named"),
    [
        ("ribs", "ribs"),
        (" Ribs , BRISKET ", "ribs and brisket"),
        ("a,,b", "a and b"),
        (",", "meats"),
        ("", "meats"),
        ("a,b,c", "a, b, and c"),
    ],
)
async def test_smoke_names_what_it_smokes(
    to_smoke: str, named: str, server: Server, async_client: AsyncClient
) -> None:
    response = await async_client.get("/smoke_some_meats/", {"to_smoke": to_smoke})
    assert text(response) == f"Smoking some {named}...."


async def test_smoke_refuses_too_much_and_starts_nothing(
    server: Server, async_client: AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    response = await async_client.get("/smoke_some_meats/", {"to_smoke": "a," * 21})
    assert response.status_code == 400
    assert text(response) == "to_smoke: 21 meats were asked for: at most 20 fit into the smoker."
    await server.stop()
    assert messages(caplog) == []


@pytest.mark.parametrize("attack", XSS)
async def test_what_is_echoed_is_never_html(
    attack: str, server: Server, async_client: AsyncClient
) -> None:
    for parameters in ({"to_smoke": attack}, {"to_smoke": "ribs", "flavor": attack}):
        response = await async_client.get("/smoke_some_meats/", parameters)
        assert response["Content-Type"] == "text/plain; charset=utf-8"
        assert response["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'self'" in response["Content-Security-Policy"]


async def test_a_full_background_answers_503_and_starts_nothing(
    async_client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise TaskQueueFull

    monkeypatch.setattr(EventLoopBackend, "dispatch", refuse)
    for path in ("/async/", "/sync_to_async/", "/smoke_some_meats/"):
        response = await async_client.get(path)
        assert response.status_code == 503
        assert response["Retry-After"] == "5"


async def test_burn_blocks_and_says_so(
    async_client: AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    response = await async_client.get("/burn_some_meats/")
    assert text(response) == "Burned some meats."
    assert messages(caplog) == ["Who doesn't love burnt meats?"]


async def test_burn_is_not_there_where_it_is_off(
    async_client: AsyncClient, settings: Settings
) -> None:
    settings.SERVE_EXAMPLES = False
    assert (await async_client.get("/burn_some_meats/")).status_code == 404


@pytest.mark.parametrize(
    "path", ["/", "/async/", "/sync/", "/sync_to_async/", "/smoke_some_meats/", "/burn_some_meats/"]
)
async def test_pages_are_only_read(path: str, async_client: AsyncClient) -> None:
    assert (await async_client.post(path)).status_code == 405


async def test_task_lines_carry_the_id_of_their_request(
    server: Server, async_client: AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.handler.addFilter(RequestIdFilter())
    response = await async_client.get("/smoke_some_meats/", headers={"x-request-id": "order-4711"})
    assert response["X-Request-ID"] == "order-4711"
    await server.stop()
    lines = [record for record in caplog.records if record.name == "meats.tasks"]
    assert lines
    assert {record.__dict__["request_id"] for record in lines} == {"order-4711"}
