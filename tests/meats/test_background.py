"""Side effects beside the response: held, bounded, limited in time, drained."""

import asyncio
import gc
import weakref

import pytest

from meats.background import Background, BackgroundFull, TaskHolder


async def test_a_held_task_survives_garbage_collection() -> None:
    holder = TaskHolder()
    ended: list[bool] = []
    futures: list[weakref.ref[asyncio.Future[None]]] = []

    async def wait_alone() -> None:
        # Task and future refer to each other only: without a holder both are garbage.
        future = asyncio.get_running_loop().create_future()
        futures.append(weakref.ref(future))
        await future
        ended.append(True)

    holder.start(wait_alone)
    await asyncio.sleep(0)
    gc.collect()
    future = futures[0]()
    assert future is not None
    future.set_result(None)
    await holder.drain(5)
    assert ended == [True]


async def test_no_more_than_the_limit_run_at_once() -> None:
    holder = TaskHolder(limit=2)
    gate = asyncio.Event()
    holder.start(gate.wait)
    holder.start(gate.wait)
    with pytest.raises(BackgroundFull, match="2 side effects are running"):
        holder.start(gate.wait)
    gate.set()
    await holder.drain(5)
    holder.start(gate.wait)
    await holder.drain(5)


async def test_a_failure_is_logged_once_with_its_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def spoil() -> None:
        raise ValueError("the meat is off")

    holder = TaskHolder()
    holder.start(spoil)
    await holder.drain(5)
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "spoil failed" in record.getMessage()
    assert record.exc_info
    assert str(record.exc_info[1]) == "the meat is off"


async def test_a_task_over_its_time_is_ended(caplog: pytest.LogCaptureFixture) -> None:
    holder = TaskHolder(timeout=0.01)
    holder.start(asyncio.Event().wait)
    await holder.drain(5)
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.exc_info
    assert record.exc_info[0] is TimeoutError


async def test_draining_waits_and_then_cuts_off(caplog: pytest.LogCaptureFixture) -> None:
    holder = TaskHolder()
    released: list[bool] = []

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            released.append(True)

    holder.start(hang)
    await asyncio.sleep(0)
    await holder.drain(0.01)
    assert released == [True]
    assert "hang was cut off" in caplog.text


async def test_the_servers_loop_is_drained_when_the_server_stops() -> None:
    background = Background()
    ended: list[bool] = []

    async def effect() -> None:
        await asyncio.sleep(0.01)
        ended.append(True)

    async with background.serve():
        background.start(effect)
        assert ended == []
    assert ended == [True]
