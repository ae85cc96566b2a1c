"""An id for each request, in its log lines and in those of the tasks that it starts."""

import logging
import re
import uuid
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from inspect import iscoroutinefunction

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from hybrid_tasks.lifespan import carry

HEADER = "X-Request-ID"
ACCEPTED = re.compile(r"[A-Za-z0-9._-]{8,64}")

# Tasks that a request starts log under its id, too.
request_id = carry(ContextVar("request_id", default="-"))

type View = Callable[[HttpRequest], HttpResponseBase]
type AsyncView = Callable[[HttpRequest], Awaitable[HttpResponseBase]]


class RequestIdFilter(logging.Filter):
    """Gives each log record a `request_id`, which is "-" outside a request."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        return True


def adopt_id(request: HttpRequest) -> str:
    """Set and return the request's id: the one a proxy in front gave, if harmless, or a new one."""
    given = request.headers.get(HEADER, "")
    chosen = given if ACCEPTED.fullmatch(given) else uuid.uuid4().hex[:12]
    request_id.set(chosen)
    request.request_id = chosen  # type: ignore[attr-defined]  # for the page that says 500
    return chosen


@sync_and_async_middleware
def request_id_middleware(get_response: View | AsyncView) -> View | AsyncView:
    """Set `request_id` for the time of the request and send it back as X-Request-ID."""
    if iscoroutinefunction(get_response):

        async def async_middleware(request: HttpRequest) -> HttpResponseBase:
            chosen = adopt_id(request)
            response: HttpResponseBase = await get_response(request)
            response.headers[HEADER] = chosen
            return response

        return async_middleware

    def middleware(request: HttpRequest) -> HttpResponseBase:
        chosen = adopt_id(request)
        response = get_response(request)
        response.headers[HEADER] = chosen  # type: ignore[union-attr]
        return response  # type: ignore[return-value]

    return middleware
