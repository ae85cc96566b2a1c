"""How long responses learn that the server is stopping."""

import asyncio
import os
import signal

from hybrid_tasks.loop.stopping import stopping, until_stopping, watch_signals


async def test_a_signal_is_told_and_still_reaches_the_servers_own_handler() -> None:
    reached: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _frame: reached.append(number))
    try:
        async with watch_signals():
            assert not stopping()
            os.kill(os.getpid(), signal.SIGTERM)
            async with asyncio.timeout(10):
                await until_stopping()
            assert stopping()
            assert reached == [signal.SIGTERM]
        os.kill(os.getpid(), signal.SIGTERM)
        assert reached == [signal.SIGTERM, signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


async def test_the_end_of_the_server_is_told_too() -> None:
    async with watch_signals():
        waits = asyncio.create_task(until_stopping())
        await asyncio.sleep(0)
        assert not waits.done()
    async with asyncio.timeout(10):
        await waits
