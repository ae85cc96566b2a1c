"""Signals beside Django's own `task_enqueued`, `task_started` and `task_finished`."""

from django.dispatch import Signal

# A durable task has failed for good and is kept as a dead letter. Sent with `sender`, the class
# OutboxTask, `task_id`, and `task_result`, which is None if this code does not know the task. It
# comes from a thread of its own after the row was committed, so a receiver may block and may
# enqueue tasks. An exception in it is logged.
task_dead = Signal()
