"""Tasks that ask the database, from wherever they run."""

import asyncio

from django.contrib.auth import get_user_model

from hybrid_tasks.tasks import task


@task(durable=True)
async def count_users() -> int:
    return await get_user_model().objects.acount()


@task(durable=True)
def count_users_in_thread() -> int:
    return get_user_model().objects.count()


@task
def count_users_for_nobody() -> int:
    return get_user_model().objects.count()


@task(durable=True)
async def wait_for_ever() -> None:
    await asyncio.Event().wait()


ALL = (count_users, count_users_in_thread, count_users_for_nobody)
