"""What a message to a worker carries: the state of its task, and what monitors show of it."""

from typing import Any

from celery.utils.saferepr import saferepr

from hybrid_tasks.celery.progress import SHOWN
from hybrid_tasks.outbox import inserts
from hybrid_tasks.outbox.inserts import NewRow
from hybrid_tasks.results import states
from hybrid_tasks.results.task_result import TaskResult

HEADER = "hybrid_tasks"  # of a message: the result as `states.encode` made it


def carrying(result: TaskResult) -> dict[str, Any]:
    """Return the options of a message that sends a task in this state.

    The arguments are in the header: Kombu's JSON gives keys such as "__type__" a meaning.
    """
    return {
        "headers": {HEADER: states.encode(result)},
        "argsrepr": saferepr(result.args, maxlen=SHOWN),
        "kwargsrepr": saferepr(result.kwargs, maxlen=SHOWN),
    }


def sent_state(request: Any, path: str, args: Any, kwargs: Any) -> TaskResult:
    """Return the result of the task of a message as it was when the message was sent."""
    encoded = (request.headers or {}).get(HEADER) or request.get(HEADER)
    if encoded:
        return states.decode(encoded)
    # Sent by name, as beat does.
    task = states.find_task(path)
    made = states.advance(states.make(task, args, kwargs, task.backend), id=request.id)
    if task.durable:
        inserts.insert([NewRow(made)])
    return made
