"""Tasks by their ids, which nobody can guess, as JSON and as events."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from hybrid_tasks.tasks import TaskResult
from meats import streams
from meats.progress import load_result, public_state
from meats.responses import noindex


async def get_result_or_404(task_id: str) -> TaskResult:
    result = await load_result(task_id)
    if result is None:
        raise Http404("No such task.")
    return result


@require_safe
@never_cache
@noindex
async def show_task(_request: HttpRequest, task_id: str) -> HttpResponse:
    """Tell a task's state as JSON."""
    return JsonResponse(public_state(await get_result_or_404(task_id)))


@require_safe
@noindex
async def task_events(request: HttpRequest, task_id: str) -> HttpResponseBase:
    """Tell a task's state whenever it changes."""
    known = await get_result_or_404(task_id)

    def describe(results: streams.Results) -> tuple[Any, bool]:
        result = results.get(task_id, known)
        return public_state(result), result.is_finished

    return await streams.stream(request, [task_id], describe)
