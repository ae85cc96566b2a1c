"""The article's pages are open to everybody, and their work is for show: so it has its bounds."""

from collections.abc import Callable
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse

from meats.rates import limit_examples
from meats.responses import AsyncView


def example(view: AsyncView | Callable[[HttpRequest], HttpResponse]) -> AsyncView:
    """Serve a page where SERVE_EXAMPLES is on, and to each address EXAMPLE_RATE at most.

    A sync view stays one: it runs in its request's thread.
    """
    # A function that is not async gets one around it; the checker cannot tell the two apart.
    called: Any = view if iscoroutinefunction(view) else sync_to_async(view)  # type: ignore[arg-type]
    limited = limit_examples(called)

    @wraps(view)
    async def served(request: HttpRequest) -> HttpResponse:
        if not settings.SERVE_EXAMPLES:
            raise Http404("The examples are off (SERVE_EXAMPLES).")
        return await limited(request)

    return served
