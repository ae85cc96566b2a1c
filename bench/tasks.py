"""The tasks that are measured."""

import asyncio

from celery import shared_task

from hybrid_tasks.tasks import task


@task
async def noop() -> None:
    return None


@task
async def wait_100_ms() -> None:
    await asyncio.sleep(0.1)


gate = asyncio.Event()


@task
async def wait_for_gate() -> None:
    await gate.wait()


@shared_task(ignore_result=True)
def celery_noop() -> None:
    return None


@task(durable=True)
async def durable_noop(text: str) -> None:
    return None


@task(durable=True)
async def durable_wait(text: str) -> None:
    """Wait until the benchmark cancels it."""
    await asyncio.get_running_loop().create_future()
