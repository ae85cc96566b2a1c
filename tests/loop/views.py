"""Views that enqueue, hang and stream."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from time import perf_counter

from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.tasks import task_backends

from hybrid_tasks.lifespan import stopping, until_stopping
from tests.loop.ledger import note
from tests.loop.measure import LoopLag, summary
from tests.loop.tasks import BY_NAME, wait


async def enqueue(request: HttpRequest) -> HttpResponse:
    """Enqueue `n` tasks; answer with their ids, each call's time and the loop's lag meanwhile.

    Of every `period` tasks the first `burst` are enqueued without letting the loop do anything
    else, the others one by one, `pause` seconds apart.
    """
    asked = request.GET
    task = BY_NAME[asked.get("task", "wait")]
    seconds = float(asked.get("seconds", "0"))
    burst = int(asked.get("burst", "0"))
    period = int(asked.get("period", "1"))
    pause = float(asked.get("pause", "0"))
    ids, times = [], []
    async with LoopLag() as lag:
        for number in range(int(asked.get("n", "1"))):
            began = perf_counter()
            result = await task.aenqueue(seconds)
            times.append(perf_counter() - began)
            ids.append(result.id)
            if number % period >= burst:
                await asyncio.sleep(pause)
    told = summary(lag.late) | {"blocked": lag.blocked}
    return JsonResponse({"ids": ids, "call": summary(times), "lag": told})


async def statuses(request: HttpRequest) -> HttpResponse:
    """Answer how many of the tasks, whose ids are the body, are in which state."""
    backend = task_backends["default"]
    found = [await backend.aget_result(task_id) for task_id in json.loads(request.body)]
    return JsonResponse(Counter(result.status.value for result in found))


def enqueue_sync(request: HttpRequest) -> HttpResponse:
    """Enqueue one task from a thread."""
    result = wait.enqueue(float(request.GET.get("seconds", "0")))
    return JsonResponse({"ids": [result.id]})


async def hang(request: HttpRequest) -> HttpResponse:
    """Enqueue a task and never answer."""
    result = await wait.aenqueue(float(request.GET["seconds"]))
    note("hang", result.id, "view")
    try:
        await asyncio.get_running_loop().create_future()
    except asyncio.CancelledError:
        note("cancelled", result.id, "view")
        raise
    raise AssertionError("nobody sets that future")


async def stream(request: HttpRequest) -> StreamingHttpResponse:
    """Stream until the server is told to stop, learning so by waiting or by asking."""
    how = request.GET["how"]

    async def events() -> AsyncIterator[bytes]:
        yield b"data: hello\n\n"
        if how == "until_stopping":
            await until_stopping()
        else:
            while not stopping():
                await asyncio.sleep(0.02)
                yield b": still here\n\n"
        note("stopping", how, "stream")
        yield b"data: goodbye\n\n"

    return StreamingHttpResponse(events(), content_type="text/event-stream")


async def ping(_request: HttpRequest) -> HttpResponse:
    return HttpResponse("pong")
