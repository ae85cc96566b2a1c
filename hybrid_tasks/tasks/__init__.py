"""The `task` decorator and `Task`: Django's own, with what a task that must not be lost needs.

Names and shapes follow the proposals django/new-features#141 (metadata) and #142 (retries), so that
tasks can move to Django's own options when they exist.
"""

from hybrid_tasks.results.task_result import TaskResult
from hybrid_tasks.tasks.backoff import Backoff, exponential_backoff
from hybrid_tasks.tasks.context import TaskContext
from hybrid_tasks.tasks.decorator import task
from hybrid_tasks.tasks.definition import Task, extended, restored
from hybrid_tasks.tasks.known import known_backoff, known_task, observe, path_of
from hybrid_tasks.tasks.policy import LONGEST_SECONDS, MOST_ATTEMPTS, shown

__all__ = [
    "LONGEST_SECONDS",
    "MOST_ATTEMPTS",
    "Backoff",
    "Task",
    "TaskContext",
    "TaskResult",
    "exponential_backoff",
    "extended",
    "known_backoff",
    "known_task",
    "observe",
    "path_of",
    "restored",
    "shown",
    "task",
]
