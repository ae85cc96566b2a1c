"""Functions whose tasks no worker, or every worker, can find."""

from hybrid_tasks.tasks import task


def function() -> str:
    return "done"


renamed = task(function)


def others() -> str:
    """Made a task by the tests, for a backend of another package."""
    return "done"
