"""Answers that several views give: pages for browsers, one line of text for everybody else."""

import logging
from collections.abc import Callable, Coroutine
from functools import wraps
from http import HTTPStatus
from math import ceil
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.template.loader import render_to_string
from django.utils.cache import patch_vary_headers

from hybrid_tasks.exceptions import TaskQueueFull
from meats.kept_forms import kept_form

logger = logging.getLogger(__name__)

RETRY_AFTER = 5  # seconds
LONG = 120  # seconds; more are told in minutes

type AsyncView = Callable[[HttpRequest], Coroutine[Any, Any, HttpResponse]]


def wait_in_words(seconds: int) -> str:
    """Return "45 s", or of what is longer whole minutes, which are never too few."""
    return f"{seconds} s" if seconds <= LONG else f"{ceil(seconds / 60)} min"


def text_response(
    text: str, status: int = HTTPStatus.OK, retry_after: int | None = None
) -> HttpResponse:
    """Answer in plain text, so that nothing in it is ever read as HTML."""
    response = HttpResponse(text, content_type="text/plain; charset=utf-8", status=status)
    if retry_after is not None:
        response["Retry-After"] = str(retry_after)
    return response


def prefers_html(request: HttpRequest) -> bool:
    """Return whether it is a browser that asks, to whom any client counts that names HTML."""
    return request.get_preferred_type(["text/plain", "text/html"]) == "text/html"


def refusal(
    request: HttpRequest,
    status: int,
    text: str,
    *,
    retry_after: int | None = None,
    template: str = "",
    **context: Any,
) -> HttpResponse:
    """Answer a browser with a page, and every other client with `text`.

    The page is rendered without context processors: it must not need what has just failed.

    Arguments:
        text: what is the matter, in a sentence.
        retry_after: seconds after which it is worth another try.
        template: of the page; by default that of the status, such as 404.html.
        context: what else it shows.
    """
    if prefers_html(request):
        wait = "" if retry_after is None else wait_in_words(retry_after)
        context |= {"status": int(status), "text": text, "wait": wait}
        page = render_to_string(template or f"{int(status)}.html", context)
        response = HttpResponse(page, status=status)
        if retry_after is not None:
            response["Retry-After"] = str(retry_after)
    else:
        response = text_response(text, status, retry_after)
    response["Cache-Control"] = "no-store"
    patch_vary_headers(response, ["Accept"])
    return response


def too_many_requests(request: HttpRequest, seconds: int) -> HttpResponse:
    """Answer 429, with the form that was sent, to an address that has none left for `seconds`."""
    return refusal(
        request,
        HTTPStatus.TOO_MANY_REQUESTS,
        f"You are too quick for us: please try again in {wait_in_words(seconds)}.",
        retry_after=seconds,
        **kept(request),
    )


def unavailable(
    request: HttpRequest,
    retry_after: int = RETRY_AFTER,
    text: str = "Too much is going on already: nothing was started, please try again soon.",
) -> HttpResponse:
    """Answer 503, with the form that was sent: nothing has happened, and it is worth another try.

    It needs neither database nor cache, so that it also answers where they are away.

    Arguments:
        retry_after: seconds to wait before that.
        text: what is the matter, in a sentence.
    """
    return refusal(
        request,
        HTTPStatus.SERVICE_UNAVAILABLE,
        text,
        retry_after=retry_after,
        **kept(request),
    )


def kept(request: HttpRequest) -> dict[str, Any]:
    """Return what a page needs to show the form again that was sent to it, if there was one."""
    found = kept_form(request)
    if found is None:
        return {}
    name, form, template = found
    return {name: form, "form_template": template, "csrf_token": get_token(request)}


def refuse_when_full(view: AsyncView) -> AsyncView:
    """Answer 503 and a time to come back where the view's side effect finds no place."""

    @wraps(view)
    async def guarded(request: HttpRequest) -> HttpResponse:
        try:
            return await view(request)
        except TaskQueueFull as error:
            logger.warning("%s", error)
            return unavailable(request)

    return guarded


def noindex[**P](
    view: Callable[P, Coroutine[Any, Any, Any]],
) -> Callable[P, Coroutine[Any, Any, Any]]:
    """Ask search engines to list neither the view's pages nor what they link to."""

    @wraps(view)
    async def unlisted(*args: P.args, **kwargs: P.kwargs) -> Any:
        response = await view(*args, **kwargs)
        response["X-Robots-Tag"] = "noindex, nofollow"
        return response

    return unlisted
