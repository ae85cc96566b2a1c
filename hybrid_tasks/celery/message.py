"""What a message to a worker carries: the state of its task, and what monitors show of it."""

from inspect import iscoroutinefunction
from typing import Any

from celery import Celery
from celery.utils.saferepr import saferepr
from kombu.messaging import Producer

from hybrid_tasks.celery.progress import SHOWN
from hybrid_tasks.results import states
from hybrid_tasks.results.registry import find_task
from hybrid_tasks.results.task_result import TaskResult
from hybrid_tasks.tasks import extended

HEADER = "hybrid_tasks"
IN_BODY = 1  # what the header says where the one argument is the result as states.encode() made it

ASYNC_GRACE = 5.0  # seconds after its timeout at which a coroutine that blocks is interrupted
HARD_LIMIT_GRACE = 30.0  # seconds after its timeout at which a task that does not end is killed


def carrying(result: TaskResult) -> dict[str, Any]:
    """Return the options of a message that sends a task in this state.

    The state is one text in the body: Kombu's JSON gives keys such as "__type__" a meaning, and the
    headers of AMQP must fit into one frame.
    """
    return {
        "args": [states.encode(result)],
        "headers": {HEADER: IN_BODY},
        "serializer": "json",
        "argsrepr": saferepr(result.args, maxlen=SHOWN),
        "kwargsrepr": saferepr(result.kwargs, maxlen=SHOWN),
    }


def publish(app: Celery, result: TaskResult, producer: Producer) -> None:
    """Send a task to the workers of `app`. Raises what the transport raises."""
    task = extended(result.task)
    message = carrying(result)
    limits = {}
    if task.timeout is not None:
        # A coroutine is timed by its loop; only one that blocks it has to be interrupted.
        grace = ASYNC_GRACE if iscoroutinefunction(task.func) else 0
        limits = {
            "soft_time_limit": task.timeout + grace,
            "time_limit": task.timeout + HARD_LIMIT_GRACE,
        }
    if task.run_after is not None:
        # As Celery would write it; told of it, Celery sends to quorum queues by exchanges that no
        # worker need have made, and does not take what is due within a second.
        message["headers"]["eta"] = task.run_after.isoformat()
    app.tasks[task.module_path].apply_async(
        task_id=result.id,
        queue=task.queue_name,
        priority=broker_priority(task.priority, producer.connection),
        producer=producer,
        retry=False,
        mandatory=True,  # AMQP would drop what is for a queue that was deleted, and confirm that
        **message,
        **limits,
    )


def broker_priority(priority: int, connection: Any) -> int:
    """Return a broker's priority, 0 to 9, for Django's, -100 to 100, of which more is sooner.

    Redis serves 0 first, AMQP 9.
    """
    tenth = round((priority + 100) * 9 / 200)
    return 9 - tenth if connection.transport.driver_type == "redis" else tenth


def mark_of(request: Any) -> Any:
    """Return our header of a message, which Celery keeps beside its own or among all others.

    `request` is Celery's, as a task has it, or the headers of a message.
    """
    return (request.get("headers") or {}).get(HEADER) or request.get(HEADER)


def carried_text(mark: Any, args: Any) -> str | None:
    """Return the encoded state that a message with that mark carries; None if it carries none.

    Versions before had the state in the header itself.
    """
    if isinstance(mark, str):
        return mark
    return str(args[0]) if mark and args else None


def carried_state(request: Any, path: str, args: Any, kwargs: Any) -> TaskResult:
    """Return the result of the task of a message as it was when the message was sent.

    Of one that was sent by name it is made here. Raises what states.decode() raises.
    """
    text = carried_text(mark_of(request), args)
    if text is not None:
        return states.decode(text)
    task = find_task(path)
    return states.advance(states.make(task, args, kwargs, task.backend), id=request.get("id"))
