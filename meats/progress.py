"""What the public may know of tasks: how far they are, and nothing of their arguments or errors."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from django.tasks import TaskResultStatus, task_backends
from django.tasks.exceptions import TaskResultDoesNotExist
from django.utils import timezone

from hybrid_tasks.tasks import TaskResult, extended
from meats.menu import STEPS
from meats.models import Order
from meats.outages import Outage

# Of the cache that keeps results, whoever in this process reads it.
reading = Outage("The results of tasks cannot be read", "The results of tasks can be read again")

NEW = timedelta(minutes=1)  # the results of so young an order may not be stored yet

WORDS = {
    TaskResultStatus.READY: "waiting",
    TaskResultStatus.RUNNING: "under way",
    TaskResultStatus.SUCCESSFUL: "done",
    TaskResultStatus.FAILED: "failed",
}


def public_state(result: TaskResult) -> dict[str, Any]:
    """Return a task's state for everybody: of an error the class, never its text."""
    error = result.errors[-1].exception_class_path.rpartition(".")[2] if result.errors else None
    return {
        "id": result.id,
        "state": result.status.value,
        "words": words(result),
        "attempts": result.attempts,
        "max_attempts": extended(result.task).max_attempts,
        "progress": result.metadata.get("progress"),
        "error": error,
    }


def words(result: TaskResult) -> str:
    """Return the state as a person would say it."""
    said = WORDS[result.status]
    if result.errors and not result.is_finished:
        said = f"trying again after attempt {len(result.errors)}"
    return said


async def load_result(task_id: str) -> TaskResult | None:
    """Return what is known of a task. Raises what the store of results raises."""
    try:
        return await task_backends["default"].aget_result(task_id)  # type: ignore[return-value]
    except TaskResultDoesNotExist:
        return None


async def load_results(ids: Iterable[str]) -> dict[str, TaskResult]:
    """Return what is known of these tasks, by id: nothing, while the store of results is away."""
    found = {}
    try:
        for task_id in ids:
            if result := await load_result(task_id):
                found[task_id] = result
    except Exception as error:  # noqa: BLE001 - each cache has errors of its own
        reading.failed(error)  # that it works again says the reader, which asks nobody but it
    return found


def order_progress(order: Order, results: Mapping[str, TaskResult]) -> dict[str, Any]:
    """Return how far an order, whose items must be loaded, is.

    Its side effects are by name; one whose result is not known, or no longer, is left out. Each
    item has the number of its steps that are done.
    """
    tasks = {
        effect: public_state(results[task_id])
        for effect, task_id in order.task_ids.items()
        if task_id in results
    }
    smoking = tasks.get("smoke", {"progress": None, "state": None})
    progress = smoking["progress"] or {}
    is_smoked = order.smoked_at is not None or smoking["state"] == TaskResultStatus.SUCCESSFUL
    count = len(order.items.all())
    done = STEPS * count if is_smoked else progress.get("done", 0)
    return {
        "note": "All smoked." if is_smoked else progress.get("note", "Waiting for the smoker…"),
        "items": [min(max(done - STEPS * number, 0), STEPS) for number in range(count)],
        "is_smoked": is_smoked,
        "tasks": tasks,
    }


def has_ended(order: Order, results: Mapping[str, TaskResult]) -> bool:
    """Return whether nothing of the order will change any more by itself.

    A result that is not there some time after the order was made is one that is no longer kept.
    """
    is_old = timezone.now() - order.created_at > NEW
    return all(
        results[task_id].is_finished if task_id in results else is_old
        for task_id in order.task_ids.values()
    )
