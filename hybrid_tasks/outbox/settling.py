"""What the end of a durable task means for its row, on either backend."""

from django.tasks import TaskResultStatus

from hybrid_tasks.exceptions import TaskCancelled
from hybrid_tasks.execution import Attempt
from hybrid_tasks.outbox.writer import writer


def settle_ended(attempt: Attempt) -> None:
    """Remove the row of a task that has ended, or keep it as a dead letter if it has failed."""
    result = attempt.result
    cancelled = isinstance(attempt.error, TaskCancelled)
    if result.status == TaskResultStatus.SUCCESSFUL or cancelled:
        writer.remove(result.id)
    else:
        writer.bury(result)
