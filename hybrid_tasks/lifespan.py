"""Opens what lives as long as the web server, and closes it when the server stops.

Django's ASGI handler knows no lifespan and raises ValueError on that scope, so it is answered here.
The messages are those of https://asgi.readthedocs.io/en/latest/specs/lifespan.html.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any

logger = logging.getLogger(__name__)

type Scope = dict[str, Any]
type Message = Mapping[str, Any]
type Receive = Callable[[], Awaitable[Message]]
type Send = Callable[[Message], Awaitable[None]]
type Application = Callable[[Scope, Receive, Send], Awaitable[None]]
type Resource = Callable[[], AbstractAsyncContextManager[Any]]


class Lifespan:
    """ASGI application: answers the server's lifespan messages and passes all else on.

    Arguments:
        application: the ASGI application to wrap, such as Django's.
        resources: functions that each give an async context manager. They are entered in order
            when the server starts and left in reverse when it stops.

    A resource that fails to open stops the server's start with its error; those opened before it
    are closed. One that fails to close is reported after the others were closed.
    """

    def __init__(self, application: Application, *resources: Resource) -> None:
        self.application = application
        self.resources = resources

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await self.application(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        phase = "startup"
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
