"""The side effects that the pages start."""

import asyncio
import logging
import time
from collections.abc import Sequence

import httpx
from asgiref.sync import sync_to_async
from django.conf import settings

from hybrid_tasks.tasks import task
from meats.menu import DEFAULT_FLAVOR, DEFAULT_MEATS
from meats.outgoing import http_client

logger = logging.getLogger(__name__)

COUNT_TO = 5


@task(timeout=120)
async def smoke(smokables: Sequence[str] = (), flavor: str = "") -> list[str]:
    """Smoke one meat after the other and apply the flavor; return what was smoked.

    Arguments:
        smokables: names of meats; none means DEFAULT_MEATS.
        flavor: the sauce; none means DEFAULT_FLAVOR.
    """
    smokables = list(smokables or DEFAULT_MEATS)
    flavor = flavor or DEFAULT_FLAVOR
    loved = "meats" if smokables[0] == "ribs" else smokables[0]

    for smokable in smokables:
        logger.info("Smoking some %s....", smokable)
        await asyncio.sleep(settings.STEP_SECONDS)
        logger.info("Applying the %s....", flavor)
        await asyncio.sleep(settings.STEP_SECONDS)
        logger.info("%s smoked.", smokable.capitalize())
    logger.info("Who doesn't love smoked %s?", loved)
    return smokables


@task(timeout=60)
async def http_call_async() -> int:
    """Count to five, one step each, then call the outgoing URL; return its status code."""
    for number in range(1, COUNT_TO + 1):
        await asyncio.sleep(settings.STEP_SECONDS)
        logger.info("%d", number)
    async with http_client() as client:
        response = await client.get(settings.OUTGOING_URL)
    logger.info("%s", response)
    return response.status_code


def http_call_sync() -> int:
    """Do what `http_call_async` does, blocking the thread that it runs in."""
    for number in range(1, COUNT_TO + 1):
        time.sleep(settings.STEP_SECONDS)
        logger.info("%d", number)
    response = httpx.get(settings.OUTGOING_URL, timeout=settings.OUTGOING_TIMEOUT)
    logger.info("%s", response)
    return response.status_code


@task(timeout=60)
async def http_call_in_thread() -> int:
    """Do it with the blocking helper, in a thread beside the event loop."""
    return await sync_to_async(http_call_sync, thread_sensitive=False)()


def oversmoke() -> None:
    """Block whoever calls for five steps: what never to do on the event loop."""
    time.sleep(COUNT_TO * settings.STEP_SECONDS)
    logger.info("Who doesn't love burnt meats?")
