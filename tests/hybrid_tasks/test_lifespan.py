"""The ASGI lifespan wrapper."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from pytest_django import Settings

from hybrid_tasks.lifespan import Lifespan, Message, Receive, Scope, Send


@pytest.fixture(autouse=True)
def _no_tasks(settings: Settings) -> None:
    """Whether a server's tasks run, others test; these servers need no database."""
    settings.TASKS = {"default": {"BACKEND": "django.tasks.backends.dummy.DummyBackend"}}


type Journal = list[str]


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "passed on", "scope": scope["type"]})


def resource(
    name: str, journal: Journal, fail_at: str = ""
) -> Callable[[], AbstractAsyncContextManager[Any]]:
    @asynccontextmanager
    async def manager() -> AsyncIterator[None]:
        if fail_at == "open":
            raise RuntimeError(f"{name} does not open")
        journal.append(f"{name} opened")
        try:
            yield
        finally:
            journal.append(f"{name} closed")
        if fail_at == "close":
            raise RuntimeError(f"{name} does not close")

    return manager


async def live(app: Lifespan, journal: Journal) -> list[Message]:
    """Start and stop `app` as a server does; return what it answered."""
    sent: list[Message] = []
    incoming = iter(["lifespan.startup", "lifespan.shutdown"])

    async def receive() -> Message:
        return {"type": next(incoming)}

    async def send(message: Message) -> None:
        journal.append(message["type"])
        sent.append(message)

    await app({"type": "lifespan"}, receive, send)
    return sent


async def test_opens_in_order_and_closes_in_reverse() -> None:
    journal: Journal = []
    await live(Lifespan(application, resource("a", journal), resource("b", journal)), journal)
    assert journal == [
        "a opened",
        "b opened",
        "lifespan.startup.complete",
        "b closed",
        "a closed",
        "lifespan.shutdown.complete",
    ]


async def test_all_but_lifespan_goes_to_the_application() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError("the wrapper must not read the application's messages")

    await Lifespan(application)({"type": "http"}, receive, send)
    assert sent == [{"type": "passed on", "scope": "http"}]


async def test_a_resource_that_does_not_open_fails_the_start(
    caplog: pytest.LogCaptureFixture,
) -> None:
    journal: Journal = []
    app = Lifespan(application, resource("a", journal), resource("b", journal, fail_at="open"))
    sent = await live(app, journal)
    assert journal == ["a opened", "a closed", "lifespan.startup.failed"]
    assert sent[0]["message"] == "RuntimeError('b does not open')"
    assert "Lifespan startup failed" in caplog.text


async def test_a_resource_that_does_not_close_lets_the_others_close(
    caplog: pytest.LogCaptureFixture,
) -> None:
    journal: Journal = []
    app = Lifespan(application, resource("a", journal), resource("b", journal, fail_at="close"))
    await live(app, journal)
    assert journal[-3:] == ["b closed", "a closed", "lifespan.shutdown.failed"]
    assert "Lifespan shutdown failed" in caplog.text
