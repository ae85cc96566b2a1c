"""Calls to other services, with one HTTP client for the server's loop that reuses connections."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from django.conf import settings

_shared: tuple[asyncio.AbstractEventLoop, httpx.AsyncClient] | None = None


def _new_client() -> httpx.AsyncClient:
    # A burst waits for a free connection as long as it takes; the side effect's own limit ends it.
    timeout = httpx.Timeout(settings.OUTGOING_TIMEOUT, pool=None)
    return httpx.AsyncClient(timeout=timeout)


@asynccontextmanager
async def shared_client() -> AsyncIterator[httpx.AsyncClient]:
    """Open the client that `http_client` hands out on this loop, and close it at the end."""
    global _shared
    async with _new_client() as client:
        _shared = (asyncio.get_running_loop(), client)
        try:
            yield client
        finally:
            _shared = None


@asynccontextmanager
async def http_client() -> AsyncIterator[httpx.AsyncClient]:
    """Give the server's shared client; on any other loop, one for this block."""
    if _shared and _shared[0] is asyncio.get_running_loop():
        yield _shared[1]
        return
    async with _new_client() as client:
        yield client
