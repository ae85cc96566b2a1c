"""python -m shop.running HOW [ARGUMENT]: runs the shop's tasks; writes what came of them as JSON.

It is run in a copy of this folder, as `shop`.
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import django

PATIENCE = 60.0  # seconds


def in_sync_code(_argument: str) -> None:
    """Where no server's loop runs, tasks run on a loop of the package's own."""
    from . import tasks

    results = [
        tasks.double.enqueue(1),
        tasks.double_durably.enqueue(2),
        tasks.count_users.enqueue(),
    ]
    deadline = time.monotonic() + PATIENCE
    while not all(result.is_finished for result in results) and time.monotonic() < deadline:
        time.sleep(0.01)
        for result in results:
            result.refresh()
    show([[result.status, result.return_value] for result in results])


def on_a_loop(_argument: str) -> None:
    """As in a web server, whose loop runs them."""
    asyncio.run(enqueue_on_a_loop())


async def enqueue_on_a_loop() -> None:
    from hybrid_tasks.backends.eventloop import serve

    from . import tasks

    async with serve(), asyncio.timeout(PATIENCE):
        results = [
            await tasks.double.aenqueue(1),
            await tasks.double_durably.aenqueue(2),
            await tasks.count_users.aenqueue(),
        ]
        while not all(result.is_finished for result in results):
            await asyncio.sleep(0.01)
            for result in results:
                await result.arefresh()
    show([[result.status, result.return_value] for result in results])


def killed(path: str) -> None:
    """Be killed by a durable task."""
    from . import tasks

    tasks.kill_once.enqueue(path)
    time.sleep(PATIENCE)


def after_it(path: str) -> None:
    """Serve as the next process does, until the outbox is empty; tell the attempts there were."""
    asyncio.run(serve_until_empty())
    show(Path(path).read_text().split())


async def serve_until_empty() -> None:
    from hybrid_tasks.backends.eventloop import serve
    from hybrid_tasks.models import OutboxTask

    async with serve(), asyncio.timeout(PATIENCE):
        while await OutboxTask.objects.aexists():  # noqa: ASYNC110 - rows tell nobody
            await asyncio.sleep(0.05)


def show(value: Any) -> None:
    sys.stdout.write(f"{json.dumps(value)}\n")


HOWS = {one.__name__: one for one in (in_sync_code, on_a_loop, killed, after_it)}

if __name__ == "__main__":
    django.setup()
    HOWS[sys.argv[1]](sys.argv[2] if len(sys.argv) > 2 else "")
