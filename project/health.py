"""The answer to health checks."""

from hybrid_tasks.lifespan import Application, Receive, Scope, Send

PATH = "/healthz/"


class Health:
    """ASGI application: answers "ok" at /healthz/ and passes all else on.

    Outside Django, for a check from inside a container has neither an allowed host name nor TLS.
    """

    def __init__(self, application: Application) -> None:
        self.application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != PATH:
            await self.application(scope, receive, send)
            return
        headers = [(b"content-type", b"text/plain"), (b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})
