"""Tasks that no worker, or every worker, can find."""

from django.tasks import base

from hybrid_tasks.tasks import task


def function() -> str:
    return "done"


renamed = task(function)


def others() -> str:
    return "done"


# As django.tasks.task makes one for a backend of another package.
of_another_package = base.Task(
    priority=0, func=others, backend="other", queue_name="default", run_after=None
)
