"""The shop's tasks."""

import asyncio
import os
import signal
from pathlib import Path

from django.contrib.auth.models import User

from hybrid_tasks.tasks import task


@task
async def double(number: int) -> int:
    await asyncio.sleep(0)
    return 2 * number


@task(durable=True, max_attempts=2)
async def double_durably(number: int) -> int:
    await asyncio.sleep(0)
    return 2 * number


@task(durable=True)
def count_users() -> int:
    return User.objects.count()


@task(durable=True, max_attempts=2)
def kill_once(path: str) -> None:
    """Kill the process in the first attempt; each attempt adds a line to a file."""
    with Path(path).open("a+") as notes:
        notes.seek(0)
        first = not notes.read()
        notes.write("begun\n")
    if first:
        os.kill(os.getpid(), signal.SIGKILL)
