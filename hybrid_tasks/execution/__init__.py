"""One attempt at a task, for both backends: what it means, how it is called, in which thread.

May import `results` and `announcements`; knows no backend, no outbox, no loop and no Celery.
"""

from hybrid_tasks.tasks import TaskContext

__all__ = ["TaskContext"]
