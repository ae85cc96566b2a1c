"""The answers to health checks."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from hybrid_tasks.lifespan import Application, Receive, Scope, Send
from project.readiness import Readiness


class Health:
    """ASGI application: answers two addresses and passes all else on.

    /healthz/ is about this process alone: it answers, so there is no need to start it again.
    /readyz/ is about what its pages need: while that is missing, a proxy should send nobody here,
    and starting again would not help.

    Outside Django, for a check from inside a container has neither an allowed host name nor TLS.
    """

    def __init__(self, application: Application, readiness: Readiness) -> None:
        self.application = application
        self.readiness = readiness
        self.answers: dict[str, Callable[[], Awaitable[str]]] = {
            "/healthz/": self.live,
            "/readyz/": self.ready,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self.answers.get(scope["path"]) if scope["type"] == "http" else None
        if answer is None:
            await self.application(scope, receive, send)
            return
        problem = await answer()
        body = (problem or "ok").encode()
        headers = [
            (b"content-type", b"text/plain"),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
        ]
        status = HTTPStatus.SERVICE_UNAVAILABLE if problem else HTTPStatus.OK
        await send({"type": "http.response.start", "status": status.value, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def live(self) -> str:
        """Return "": who can say so lives."""
        return ""

    async def ready(self) -> str:
        """Return what is missing, in one line; "" if nothing is."""
        missing = await self.readiness.missing()
        return f"not ready: {', '.join(missing)}" if missing else ""
