"""What a message to a worker carries: the state of its task, and what monitors show of it."""

from typing import Any

from celery.utils.saferepr import saferepr

from hybrid_tasks import outbox_insert, results
from hybrid_tasks.celery_progress import SHOWN
from hybrid_tasks.outbox_insert import NewRow
from hybrid_tasks.task_result import TaskResult

HEADER = "hybrid_tasks"  # of a message: the result as `results.encode` made it


def carrying(result: TaskResult) -> dict[str, Any]:
    """Return the options of a message that sends a task in this state.

    The arguments are in the header: Kombu's JSON gives keys such as "__type__" a meaning.
    """
    return {
        "headers": {HEADER: results.encode(result)},
        "argsrepr": saferepr(result.args, maxlen=SHOWN),
        "kwargsrepr": saferepr(result.kwargs, maxlen=SHOWN),
    }


def sent_state(request: Any, path: str, args: Any, kwargs: Any) -> TaskResult:
    """Return the result of the task of a message as it was when the message was sent."""
    encoded = (request.headers or {}).get(HEADER) or request.get(HEADER)
    if encoded:
        return results.decode(encoded)
    # Sent by name, as beat does.
    task = results.find_task(path)
    made = results.advance(results.make(task, args, kwargs, task.backend), id=request.id)
    if task.durable:
        outbox_insert.insert([NewRow(made)])
    return made
