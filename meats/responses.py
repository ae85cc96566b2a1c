"""Answers that several views give."""

import logging
from collections.abc import Callable, Coroutine
from functools import wraps
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse

from hybrid_tasks.exceptions import TaskQueueFull

logger = logging.getLogger(__name__)

RETRY_AFTER = 5  # seconds

type AsyncView = Callable[[HttpRequest], Coroutine[Any, Any, HttpResponse]]


def text_response(
    text: str, status: int = HTTPStatus.OK, retry_after: int | None = None
) -> HttpResponse:
    """Answer in plain text, so that nothing in it is ever read as HTML."""
    response = HttpResponse(text, content_type="text/plain; charset=utf-8", status=status)
    if retry_after is not None:
        response["Retry-After"] = str(retry_after)
    return response


def too_many_requests(_request: HttpRequest, seconds: int) -> HttpResponse:
    """Answer 429 to an address that has none left for `seconds`."""
    return text_response(
        f"You are too quick for us: please try again in {seconds} s.",
        HTTPStatus.TOO_MANY_REQUESTS,
        seconds,
    )


def refuse_when_full(view: AsyncView) -> AsyncView:
    """Answer 503 and a time to come back where the view's side effect finds no place."""

    @wraps(view)
    async def guarded(request: HttpRequest) -> HttpResponse:
        try:
            return await view(request)
        except TaskQueueFull as error:
            logger.warning("%s", error)
            return text_response(
                "Too much is going on already: nothing was started, please try again soon.",
                HTTPStatus.SERVICE_UNAVAILABLE,
                RETRY_AFTER,
            )

    return guarded
