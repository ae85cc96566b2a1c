"""A guard in front of Django, which would read a body of any length and patience to its end."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus

from hybrid_tasks.lifespan import Application, Message, Receive, Scope, Send

# For how long, and how far, a body that was refused is still read and thrown away: who closes at
# once resets the connection of one that is still sending, and they never see the answer.
LINGER_SECONDS = 2.0
LINGER_BYTES = 8 * 1024 * 1024


@dataclass
class Body:
    """The body of one request, counted while the application reads it.

    Attributes:
        refusal: what to answer instead of the application; None as long as the body is in order.
    """

    receive: Receive
    max_bytes: int
    deadline: float
    refusal: HTTPStatus | None = None
    is_complete: bool = False
    _count: int = field(default=0, init=False)

    async def read(self) -> Message:
        """Receive for the application; one that is refused looks as if the client had left."""
        if self.refusal:
            return {"type": "http.disconnect"}
        try:
            # What comes after the body is the client's leaving, for which there is no limit.
            async with asyncio.timeout_at(None if self.is_complete else self.deadline):
                message = await self.receive()
        except TimeoutError:
            self.refusal = HTTPStatus.REQUEST_TIMEOUT
            return {"type": "http.disconnect"}
        if message["type"] == "http.request":
            self._count += len(message.get("body", b""))
            self.is_complete = not message.get("more_body", False)
            if self._count > self.max_bytes:
                self.refusal = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
                return {"type": "http.disconnect"}
        return message

    async def throw_away(self) -> None:
        """Read on for a while, or until the client has sent all or left."""
        left = LINGER_BYTES
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                while left > 0 and not self.is_complete:
                    message = await self.receive()
                    left -= len(message.get("body", b""))
                    self.is_complete = not message.get("more_body", False)


class Bodies:
    """ASGI application: passes requests on whose bodies keep to the limits, and refuses the others.

    A body that is too long is refused with 413, at once where its length is declared; one that is
    too slow with 408. Nothing of it is kept but what the application has read until then.

    Arguments:
        application: the ASGI application to guard.
        max_bytes: that a body may have.
        seconds: that it may take to arrive, all of it.
    """

    def __init__(self, application: Application, *, max_bytes: int, seconds: float) -> None:
        self.application = application
        self.max_bytes = max_bytes
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.application(scope, receive, send)
            return
        deadline = asyncio.get_running_loop().time() + self.seconds
        body = Body(receive, self.max_bytes, deadline)
        has_begun = False

        async def pass_on(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        if declared_length(scope["headers"]) > self.max_bytes:
            body.refusal = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        else:
            await self.application(scope, body.read, pass_on)
        if body.refusal and not has_begun:
            await self.refuse(body, send)

    async def refuse(self, body: Body, send: Send) -> None:
        is_long = body.refusal is HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        text = (
            f"This is too much: a request's body has at most {self.max_bytes:,} bytes here.\n"
            if is_long
            else f"This is too slow: a request's body arrives within {self.seconds:g} s here.\n"
        ).encode()
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(text)).encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"connection", b"close"),
        ]
        await send({"type": "http.response.start", "status": body.refusal, "headers": headers})
        await send({"type": "http.response.body", "body": text, "more_body": True})
        if is_long:
            await body.throw_away()
        await send({"type": "http.response.body", "body": b""})


def declared_length(headers: Iterable[tuple[bytes, bytes]]) -> int:
    """Return the Content-Length, or 0 where there is none that can be read."""
    for name, value in headers:
        if name.lower() == b"content-length" and value.isdigit():
            return int(value)
    return 0
