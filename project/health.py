"""The answer to health checks."""

from collections.abc import Awaitable, Callable
from inspect import iscoroutinefunction

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

PATH = "/healthz/"

type View = Callable[[HttpRequest], HttpResponseBase]
type AsyncView = Callable[[HttpRequest], Awaitable[HttpResponseBase]]


@sync_and_async_middleware
def health_middleware(get_response: View | AsyncView) -> View | AsyncView:
    """Answer "ok" at /healthz/: this process serves requests.

    A middleware and no view, for a check from inside a container has neither an allowed host name
    nor TLS.
    """
    if iscoroutinefunction(get_response):

        async def async_middleware(request: HttpRequest) -> HttpResponseBase:
            if request.path == PATH:
                return HttpResponse("ok", content_type="text/plain")
            response: HttpResponseBase = await get_response(request)
            return response

        return async_middleware

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if request.path == PATH:
            return HttpResponse("ok", content_type="text/plain")
        return get_response(request)  # type: ignore[return-value]

    return middleware
