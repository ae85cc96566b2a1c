"""Tasks for the tests of streams."""

import asyncio

from hybrid_tasks.execution import TaskContext
from hybrid_tasks.tasks import task


class Gate:
    """What the tasks of one test wait for."""

    def __init__(self) -> None:
        self.close()

    def close(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        self._event.set()

    async def opened(self) -> None:
        await self._event.wait()


gate = Gate()


@task(takes_context=True)
async def wait_for_gate(context: TaskContext) -> None:
    await gate.opened()
    context.metadata["progress"] = {"done": 1, "total": 1}


@task
async def fail_with_secret(secret: str) -> None:
    raise ValueError(f"the secret is {secret}")
