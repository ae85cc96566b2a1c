"""Ties the event loop's worker, and what else lives as long as the web server, to its life.

Django's ASGI handler knows no lifespan and raises ValueError on that scope, so it is answered here.
The messages are those of https://asgi.readthedocs.io/en/latest/specs/lifespan.html.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any

from hybrid_tasks.backends.eventloop import serve
from hybrid_tasks.loop.runner import carry
from hybrid_tasks.loop.stopping import stopping, until_stopping, watch_signals

__all__ = ["Lifespan", "carry", "stopping", "until_stopping"]

logger = logging.getLogger("hybrid_tasks")

type Scope = dict[str, Any]
type Message = Mapping[str, Any]
type Receive = Callable[[], Awaitable[Message]]
type Send = Callable[[Message], Awaitable[None]]
type Application = Callable[[Scope, Receive, Send], Awaitable[None]]
type Resource = Callable[[], AbstractAsyncContextManager[Any]]


class Lifespan:
    """ASGI application: runs tasks on the server's loop and passes all but lifespan messages on.

    Arguments:
        application: the ASGI application to wrap, such as Django's.
        resources: functions that each give an async context manager. They are entered in order
            when the server starts and left in reverse when it stops, after the tasks were drained.

    A resource that fails to open stops the server's start with its error; those opened before it
    are closed. One that fails to close is reported after the others were closed.
    """

    def __init__(self, application: Application, *resources: Resource) -> None:
        self.application = application
        self.resources = (*resources, watch_signals, serve)
        self._alive = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if not self._alive:
            await self._adopt()
        await self.application(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        phase = "startup"
        self._alive = True
        try:
            async with AsyncExitStack() as stack:
                await receive()
                for resource in self.resources:
                    await stack.enter_async_context(resource())
                await send({"type": "lifespan.startup.complete"})
                await receive()
                phase = "shutdown"
        except Exception as error:
            logger.exception("Lifespan %s failed", phase)
            await send({"type": f"lifespan.{phase}.failed", "message": repr(error)})
        else:
            await send({"type": "lifespan.shutdown.complete"})

    async def _adopt(self) -> None:
        """Take the loop of a server without lifespan, at its first request."""
        self._alive = True
        logger.warning(
            "This server sends no lifespan messages: tasks are not drained when it stops."
            " Those that wait or run then are lost."
        )
        self._adopted = AsyncExitStack()
        for resource in self.resources:
            await self._adopted.enter_async_context(resource())
