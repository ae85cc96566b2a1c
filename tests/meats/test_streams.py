"""Server-sent events: what is told, when, and to how many."""

import asyncio
import gc
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from django.http import StreamingHttpResponse
from django.test import AsyncClient
from pytest_django import Settings

from hybrid_tasks.backends.eventloop import serve
from hybrid_tasks.loop import stopping
from meats import streams
from meats.tasks import smoke
from meats.watching import reader
from tests.meats import tasks


class Events:
    """The events of an open stream, one by one."""

    def __init__(self, response: Any) -> None:
        assert isinstance(response, StreamingHttpResponse), response.status_code
        assert response["Content-Type"] == "text/event-stream"
        self.response = response
        self._parts: Any = aiter(response)

    async def next(self) -> dict[str, str]:
        async with asyncio.timeout(60):
            part = (await anext(self._parts)).decode()
        lines = [line.partition(": ") for line in part.splitlines() if line]
        return {name: value for name, _, value in lines}

    async def until_running(self) -> None:
        while "RUNNING" not in (await self.next()).get("data", ""):
            pass

    async def all(self) -> list[dict[str, str]]:
        events = []
        try:
            while True:
                events.append(await self.next())
        except StopAsyncIteration:
            return events


class ClientFrom(AsyncClient):
    """A client of another address than the tests' own."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self.address = address

    def _base_scope(self, **request: Any) -> dict[str, Any]:
        scope: dict[str, Any] = super()._base_scope(**request)  # type: ignore[misc]
        return scope | {"client": [self.address, 0]}


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.01)


@pytest.fixture
async def served(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    # A server that another test has stopped in this process is not the one that streams here.
    monkeypatch.setattr(stopping, "_stopping", None)
    tasks.gate.close()
    async with serve():
        yield


async def watch(client: AsyncClient, task_id: str, **headers: str) -> Events:
    return Events(await client.get(f"/tasks/{task_id}/events/", headers=headers))


async def test_a_task_is_told_until_it_ends(served: None, async_client: AsyncClient) -> None:
    result = await tasks.wait_for_gate.aenqueue()
    events = await watch(async_client, result.id)
    assert await events.next() == {"retry": "1000"}
    await events.until_running()
    tasks.gate.set()
    *told, end = await events.all()
    last = json.loads(told[-1]["data"])
    assert (last["state"], last["progress"]) == ("SUCCESSFUL", {"done": 1, "total": 1})
    assert (end["event"], end["id"]) == ("end", told[-1]["id"])


async def test_who_comes_back_is_told_only_what_is_new(
    served: None, async_client: AsyncClient
) -> None:
    result = await smoke.aenqueue(["tofu"])
    _, *_, last, end = await (await watch(async_client, result.id)).all()
    again = await watch(async_client, result.id, last_event_id=last["id"])
    assert [event.get("event") for event in await again.all()] == [None, "end"]
    fresh = await watch(async_client, result.id, last_event_id="of-another-time")
    assert (await fresh.all())[1:] == [last, end]


async def test_an_open_stream_gives_signs_of_life(
    served: None, async_client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "KEEP_ALIVE_SECONDS", 0.5)
    result = await tasks.wait_for_gate.aenqueue()
    events = await watch(async_client, result.id)
    await events.until_running()
    assert await events.next() == {"": "still here"}
    tasks.gate.set()
    await events.all()


async def test_a_stream_ends_without_an_end_when_the_server_stops(
    served: None, async_client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = await tasks.wait_for_gate.aenqueue()
    events = await watch(async_client, result.id)
    await events.until_running()
    monkeypatch.setattr("meats.watching.stopping", lambda: True)
    monkeypatch.setattr("meats.streams.stopping", lambda: True)
    assert await events.all() == []
    tasks.gate.set()


async def test_no_more_streams_than_allowed(
    served: None, async_client: AsyncClient, settings: Settings
) -> None:
    settings.MAX_STREAMS = 2
    result = await tasks.wait_for_gate.aenqueue()
    open_ones = [await watch(async_client, result.id) for _ in range(2)]
    for events in open_ones:
        await events.next()
    refused = await async_client.get(f"/tasks/{result.id}/events/")
    assert (refused.status_code, refused["Retry-After"]) == (503, "10")
    tasks.gate.set()
    for events in open_ones:
        await events.all()
    open_ones.clear()
    # Also one that nobody ever began to read gives its place back.
    for _ in range(3):
        gc.collect()  # the test client's responses refer to themselves
        await watch(async_client, result.id)


async def test_one_visitor_does_not_take_all_streams(
    served: None, async_client: AsyncClient, settings: Settings
) -> None:
    gc.collect()  # the streams of other tests
    settings.MAX_STREAMS_PER_ADDRESS = 2
    result = await tasks.wait_for_gate.aenqueue()
    path = f"/tasks/{result.id}/events/"
    open_ones = [await watch(async_client, result.id) for _ in range(2)]
    refused = await async_client.get(path)
    assert (refused.status_code, refused["Retry-After"]) == (429, "10")
    # The same visitor, as a server sees it that listens on IPv6 for both.
    mapped = await ClientFrom("::ffff:127.0.0.1").get(path)
    assert mapped.status_code == 429
    other = Events(await ClientFrom("192.0.2.7").get(path))
    tasks.gate.set()
    for events in [*open_ones, other]:
        await events.all()


async def test_one_read_serves_all_who_watch(
    served: None,
    async_client: AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
) -> None:
    settings.MAX_STREAMS_PER_ADDRESS = 1000
    reads: list[int] = []
    read_changes = streams.reader._read

    async def counted(ids: set[str]) -> set[str]:
        reads.append(len(ids))
        return await read_changes(ids)

    monkeypatch.setattr(reader, "_read", counted)
    results = [await tasks.wait_for_gate.aenqueue() for _ in range(10)]
    watching = [await watch(async_client, result.id) for result in results for _ in range(5)]
    beginnings = await asyncio.gather(*(events.next() for events in watching))
    assert len(beginnings) == 50
    told = asyncio.gather(*(events.all() for events in watching))
    await until(lambda: len(reads) >= 3)
    assert max(reads) == 10
    tasks.gate.set()
    assert all(events[-1]["event"] == "end" for events in await told)
    reading = reader._reading
    assert reading is not None
    await until(reading.done)  # nobody watches any more


async def test_a_task_as_json_tells_nothing_private(
    served: None, async_client: AsyncClient
) -> None:
    result = await tasks.fail_with_secret.aenqueue("hunter2")
    await (await watch(async_client, result.id)).all()
    response = await async_client.get(f"/tasks/{result.id}/")
    assert response.json() == {
        "id": result.id,
        "state": "FAILED",
        "words": "failed",
        "attempts": 1,
        "max_attempts": 1,
        "progress": None,
        "error": "ValueError",
    }
    assert "no-store" in response["Cache-Control"]


@pytest.mark.django_db(transaction=True)
async def test_an_unknown_task_is_not_found(async_client: AsyncClient) -> None:
    for path in ("/tasks/0123456789abcdef/", "/tasks/0123456789abcdef/events/"):
        assert (await async_client.get(path)).status_code == 404
