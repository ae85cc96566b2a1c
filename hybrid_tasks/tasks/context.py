"""What a task with `takes_context=True` is given first."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hybrid_tasks.django_types import DjangoTaskContext
from hybrid_tasks.results.task_result import TaskResult


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskContext(DjangoTaskContext):  # type: ignore[misc]  # the stubs miss "frozen"
    """Django's context, through which a task can also change its metadata while it runs.

    Attributes:
        metadata: a JSON dict to change in place. Others see the changes when they are saved, and
            when the task has succeeded.
    """

    metadata: dict[str, Any]
    save: Callable[[], None]

    if TYPE_CHECKING:
        task_result: TaskResult

    def save_metadata(self) -> None:
        """Make the metadata as it is now readable by others.

        Raises TypeError if it is no JSON, ValueTooLarge if it is too long. After the end of the
        attempt, such as in a thread that has outlived its timeout, it does nothing.
        """
        self.save()

    async def asave_metadata(self) -> None:
        """See save_metadata(). It does not wait for the store."""
        self.save()
