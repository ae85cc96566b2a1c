"""Server-sent events: what happens to tasks, told while it happens.

See https://html.spec.whatwg.org/multipage/server-sent-events.html.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from hashlib import blake2s
from http import HTTPStatus
from typing import Any
from weakref import WeakSet

from django.conf import settings
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase

from hybrid_tasks.databases import arelease_connections
from hybrid_tasks.lifespan import stopping
from hybrid_tasks.tasks import TaskResult
from meats.rates import address_of
from meats.responses import text_response
from meats.watching import reader

KEEP_ALIVE_SECONDS = 15  # proxies cut off what is silent for long
RECONNECT_MILLISECONDS = 1000
RETRY_AFTER = 10  # seconds

type Results = Mapping[str, TaskResult]
# Returns what to tell, and whether it is the end, from the results that are known.
type Describe = Callable[[Results], tuple[Any, bool]]


class Place:
    """One of this process's MAX_STREAMS. A stream holds it: it is free when the stream has ended,
    and also when it was dropped before it began.
    """

    def __init__(self, address: str) -> None:
        self.address = address


_taken: WeakSet[Place] = WeakSet()


async def stream(request: HttpRequest, ids: Iterable[str], describe: Describe) -> HttpResponseBase:
    """Answer with the events of these tasks; 503 where MAX_STREAMS are open in this process.

    An address that has MAX_STREAMS_PER_ADDRESS of them is answered with 429. What the view had of
    the database is given back: Django would keep it until the stream ends.

    Each event tells all, so one who comes back with the Last-Event-ID of the last misses nothing
    and is told only what is new.
    """
    address = address_of(request)
    if len(_taken) >= settings.MAX_STREAMS:
        response: HttpResponseBase = text_response(
            "Too many are watching: please come back soon.",
            HTTPStatus.SERVICE_UNAVAILABLE,
            RETRY_AFTER,
        )
    elif sum(place.address == address for place in _taken) >= settings.MAX_STREAMS_PER_ADDRESS:
        response = text_response(
            "You are watching too much at once: please close a page.",
            HTTPStatus.TOO_MANY_REQUESTS,
            RETRY_AFTER,
        )
    else:
        place = Place(address)
        _taken.add(place)
        await arelease_connections()
        told = tell(ids, describe, request.headers.get("Last-Event-ID", ""), place)
        response = StreamingHttpResponse(told, content_type="text/event-stream")
        response["X-Accel-Buffering"] = "no"  # nginx would collect the events
    response["Cache-Control"] = "no-store"
    return response


async def tell(
    ids: Iterable[str], describe: Describe, last_event_id: str, _place: Place
) -> AsyncGenerator[str, None]:
    """Yield an event for each change until the tasks end or the server is stopping."""
    yield f"retry: {RECONNECT_MILLISECONDS}\n\n"
    with reader.watch(ids) as watch:
        while not stopping():
            if not await changed(watch.changed):
                yield ": still here\n\n"
                continue
            news, is_end = describe(watch.results)
            text = json.dumps(news)
            event_id = blake2s(text.encode(), digest_size=8).hexdigest()
            if event_id != last_event_id:
                yield f"id: {event_id}\ndata: {text}\n\n"
                last_event_id = event_id
            if is_end:
                # Without it the browser would come back for more.
                yield f"id: {event_id}\nevent: end\ndata: end\n\n"
                return


async def changed(event: asyncio.Event) -> bool:
    """Wait for a change; return False when it is time for a sign of life instead."""
    try:
        async with asyncio.timeout(KEEP_ALIVE_SECONDS):
            await event.wait()
    except TimeoutError:
        return False
    event.clear()
    return True
