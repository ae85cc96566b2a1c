"""How long a task waits before it is tried again."""

import random
from collections.abc import Callable

from hybrid_tasks.django_types import DjangoTaskResult
from hybrid_tasks.results.task_result import TaskResult

# Called with the exception and the task's result after an attempt that failed: the seconds until
# the next one, or None to give up.
type Backoff = Callable[[BaseException, TaskResult], float | None]

BACKOFF_BASE = 1.0  # seconds
BACKOFF_CAP = 300.0  # seconds


def exponential_backoff(_exception: BaseException, task_result: DjangoTaskResult) -> float:
    """Return a random wait of up to 1 s after the first attempt, doubling to at most 5 minutes.

    Waiting a random part of the whole ("full jitter") spreads those who failed together:
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/.
    """
    doublings = min(task_result.attempts - 1, 30)
    return random.uniform(0, min(BACKOFF_CAP, BACKOFF_BASE * 2**doublings))  # noqa: S311


# Messages and rows name it by its public path.
exponential_backoff.__module__ = "hybrid_tasks.tasks"
