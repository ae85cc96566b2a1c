"""The article's pages. What they start runs on beside the response, on the event loop."""

import logging
from collections.abc import Sequence
from http import HTTPStatus

import httpx
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_GET, require_safe

from meats.examples import example
from meats.forms import SmokeForm
from meats.home import GREETING, render_home
from meats.responses import prefers_html, refuse_when_full, text_response
from meats.tasks import (
    http_call_async,
    http_call_in_thread,
    http_call_sync,
    oversmoke,
    smoke,
)

logger = logging.getLogger(__name__)


def join_names(names: Sequence[str]) -> str:
    """Return "a", "a and b" or "a, b, and c"."""
    if len(names) <= 2:
        return " and ".join(names)
    return f"{', '.join(names[:-1])}, and {names[-1]}"


@require_safe
async def index(request: HttpRequest) -> HttpResponse:
    """Greet: browsers with the home page, every other client with one line."""
    if prefers_html(request):
        response = await render_home(request)
    else:
        response = text_response(GREETING)
    patch_vary_headers(response, ["Accept"])
    return response


@example
@require_GET
@refuse_when_full
async def async_view(_request: HttpRequest) -> HttpResponse:
    """Answer at once; count and call out on the event loop."""
    await http_call_async.aenqueue()
    return text_response("Non-blocking HTTP request")


@example
@require_GET
def sync_view(_request: HttpRequest) -> HttpResponse:
    """Count and call out before answering: the visitor waits."""
    try:
        http_call_sync()
    except httpx.HTTPError as error:
        logger.warning("GET %s failed: %r", settings.OUTGOING_URL, error)
        return text_response(
            f"The outgoing request failed: {type(error).__name__}.", HTTPStatus.BAD_GATEWAY
        )
    return text_response("Blocking HTTP request")


@example
@require_GET
@refuse_when_full
async def async_with_sync_view(_request: HttpRequest) -> HttpResponse:
    """Answer at once; the blocking helper runs in a thread of the loop's pool."""
    await http_call_in_thread.aenqueue()
    return text_response("Non-blocking HTTP request (via sync_to_async)")


@example
@require_GET
@refuse_when_full
async def smoke_some_meats(request: HttpRequest) -> HttpResponse:
    """Answer at once and smoke what was asked for, or the house's meats."""
    form = SmokeForm(request.GET)
    if not form.is_valid():
        return text_response(form.complaint(), HTTPStatus.BAD_REQUEST)
    meats = form.cleaned_data["to_smoke"]
    await smoke.aenqueue(meats, form.cleaned_data["flavor"])
    return text_response(f"Smoking some {join_names(meats) or 'meats'}....")


@example
@require_GET
async def burn_some_meats(_request: HttpRequest) -> HttpResponse:
    """Do what an async view must never do: block. Everybody's requests wait meanwhile."""
    oversmoke()
    return text_response("Burned some meats.")
