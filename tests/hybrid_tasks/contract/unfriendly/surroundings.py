"""What any loop, with whatever around it, has to get right: a scenario for all of them."""

import asyncio
from typing import Any

from django.tasks import TaskResultStatus

from hybrid_tasks.backends.eventloop import serve
from hybrid_tasks.exceptions import TaskCancelled
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.contract.waiting import finished, refreshed_until
from tests.hybrid_tasks.outbox.on_loop import settled


async def enqueue(task: Any, *args: Any, alias: str, **options: Any) -> Any:
    return await task.using(backend=alias, **options).aenqueue(*args)


async def all_goes_well(alias: str = "default") -> None:
    """Enqueue tasks of every kind on a loop that serves, and see that each ends as it should."""
    for durable in (False, True):
        plain = await enqueue(tasks.plain, "ribs", alias=alias, durable=durable)
        assert (await finished(plain)).return_value == "ribs"
        in_thread = await enqueue(tasks.plain_sync, "ribs", alias=alias, durable=durable)
        assert (await finished(in_thread)).return_value == "ribs"
        again = await enqueue(tasks.succeed_at, 3, alias=alias, durable=durable)
        assert (await finished(again)).attempts == 3
        bad = await enqueue(tasks.fail, "bad", alias=alias, durable=durable, timeout=60)
        assert (await finished(bad)).status == TaskResultStatus.FAILED
        hangs = await enqueue(tasks.hang, alias=alias, durable=durable)
        await refreshed_until(hangs, lambda it: it.attempts, "it runs")
        assert await hangs.task.get_backend().acancel(hangs.id)
        await finished(hangs)
        assert hangs.errors[-1].exception_class is TaskCancelled
        slow = await enqueue(tasks.hang, alias=alias, durable=durable, timeout=0.05)
        await finished(slow)
        assert slow.errors[-1].exception_class is TimeoutError
    from_thread: Any = await asyncio.to_thread(tasks.plain.using(backend=alias).enqueue, "ribs")
    assert (await finished(from_thread)).return_value == "ribs"


async def serve_well() -> None:
    async with serve():
        await all_goes_well()
    await settled()
