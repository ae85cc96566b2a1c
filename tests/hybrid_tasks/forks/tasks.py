"""Tasks for processes that fork."""

import os

from hybrid_tasks.tasks import task


@task
async def tell() -> int:
    return os.getpid()


@task
def tell_from_thread() -> int:
    return os.getpid()


@task(durable=True)
async def tell_durably() -> int:
    return os.getpid()


@task(durable=True)
def tell_durably_from_thread() -> int:
    return os.getpid()


ALL = (tell, tell_from_thread, tell_durably, tell_durably_from_thread)
