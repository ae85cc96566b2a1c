"""Views that enqueue durable tasks, recording which were accepted, and that look them up."""

import asyncio
import json
from time import perf_counter

from django.http import HttpRequest, JsonResponse
from django.tasks import task_backends
from django.tasks.exceptions import TaskResultDoesNotExist

from hybrid_tasks.exceptions import OutboxUnavailable
from tests.faults.journal import record
from tests.faults.tasks import BY_NAME


async def accept(request: HttpRequest) -> JsonResponse:
    """Enqueue `n` tasks at once, of the kinds in `tasks` by turns.

    Answers with the ids of the accepted ones, the number of refused ones and the seconds that the
    slowest call took.
    """
    asked = request.GET
    names = asked.get("tasks", "again,once").split(",")
    seconds = float(asked.get("seconds", "0"))
    backend = asked.get("backend", "default")
    slowest = 0.0

    async def enqueue(name: str) -> str | None:
        nonlocal slowest
        began = perf_counter()
        try:
            result = await BY_NAME[name].using(backend=backend).aenqueue(seconds)
        except OutboxUnavailable:
            record("refuse", "-", name)
            return None
        finally:
            slowest = max(slowest, perf_counter() - began)
        record("accept", result.id, name)
        return result.id

    wanted = [names[number % len(names)] for number in range(int(asked["n"]))]
    found = await asyncio.gather(*map(enqueue, wanted))
    ids = [task_id for task_id in found if task_id]
    return JsonResponse({"ids": ids, "refused": len(found) - len(ids), "slowest": slowest})


async def look_up(request: HttpRequest) -> JsonResponse:
    """Answer the states of the tasks whose ids are the body."""
    backend = task_backends["default"]

    async def state(task_id: str) -> str:
        try:
            result = await backend.aget_result(task_id)
        except TaskResultDoesNotExist:
            return "unknown"
        return result.status.value

    states = [await state(task_id) for task_id in json.loads(request.body)]
    return JsonResponse(states, safe=False)
