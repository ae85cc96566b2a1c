"""Tells whether an attempt is still made whose message has come again.

A broker delivers what was not acknowledged: because a worker died, or because a task takes longer
than the broker waits (Redis' `visibility_timeout`, RabbitMQ's `consumer_timeout`).
"""

from typing import Any

ANSWER_SECONDS = 1.0  # that a worker has to answer


def still_runs(app: Any, worker_id: str, task_id: str, asked_by: str) -> bool:
    """Return whether the worker of that name says that it runs the task.

    `asked_by` is the name of the worker that has the message which came again. Raises what the
    transport raises.
    """
    inspect = app.control.inspect(destination=[worker_id], timeout=ANSWER_SECONDS)
    told = inspect.active(safe=True) or {}
    active = sum(one["id"] == task_id for ones in told.values() for one in ones)
    return bool(active > (worker_id == asked_by))  # which is one of those itself
