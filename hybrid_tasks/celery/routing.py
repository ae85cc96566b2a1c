"""Where Celery sends what is sent by its name, such as by beat or from its admin."""

from typing import Any

from hybrid_tasks.tasks.known import known_task


def own_queue(name: str, *_: Any, **__: Any) -> dict[str, str] | None:
    """Route a task of ours to the queue that its code names; leave others to the next router.

    For Celery's setting `task_routes`. A queue that is given with a message comes first.
    """
    task = known_task(name)
    return None if task is None else {"queue": task.queue_name}
