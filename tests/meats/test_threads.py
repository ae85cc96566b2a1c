"""A7: what blocks a thread has threads of its own, and holds up nobody else."""

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest
from django.test import AsyncClient

from hybrid_tasks.backends.eventloop import serve
from hybrid_tasks.loop import stopping
from meats import tasks
from meats.tasks import smoke
from tests.meats import tasks as smoking
from tests.meats.test_streams import watch

# More than a default pool has threads, on whatever machine; they end by themselves in the end.
BLOCKED, BLOCKED_SECONDS = 40, 10.0


@pytest.fixture
async def served(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    monkeypatch.setattr(stopping, "_stopping", None)
    async with serve():
        yield


@pytest.fixture
def gate() -> threading.Event:
    return threading.Event()


async def use_the_site(client: AsyncClient) -> None:
    """Start a task, watch it to its end and look it up."""
    result = await smoke.aenqueue(["tofu"])
    *_, end = await (await watch(client, result.id)).all()
    assert end["event"] == "end"
    assert (await client.get(f"/tasks/{result.id}/")).json()["state"] == "SUCCESSFUL"


async def test_who_blocks_the_loops_threads_stops_no_open_stream(
    served: None, async_client: AsyncClient, gate: threading.Event
) -> None:
    """Requests need one of them, in Django itself; what is open has no use for them."""
    smoking.gate.close()
    result = await smoking.wait_for_gate.aenqueue()
    events = await watch(async_client, result.id)
    await events.until_running()
    loop = asyncio.get_running_loop()
    blocked = [loop.run_in_executor(None, gate.wait, BLOCKED_SECONDS) for _ in range(BLOCKED)]
    smoking.gate.set()
    *_, end = await events.all()
    in_time = not any(each.done() for each in blocked)
    gate.set()
    await asyncio.gather(*blocked)
    assert end["event"] == "end"
    assert in_time


async def test_the_blocking_page_leaves_the_loops_threads_alone(
    served: None,
    async_client: AsyncClient,
    gate: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Six requests took them all; twelve made an order's page take 8 s, a hundred 76 s."""
    ended: list[bool] = []

    def block() -> int:
        ended.append(gate.wait(BLOCKED_SECONDS))
        return 200

    monkeypatch.setattr(tasks, "http_call_sync", block)
    for _ in range(BLOCKED):
        assert (await async_client.get("/sync_to_async/")).status_code == 200
    await asyncio.to_thread(int)  # as a look-up of a host's name would
    await use_the_site(async_client)
    in_time = not ended
    gate.set()
    assert in_time
