"""The result of a task: a snapshot that never changes, and the draft of which one is made."""

from dataclasses import dataclass, field
from typing import Any, cast

from django.tasks import base

from hybrid_tasks.django_types import DjangoTaskResult

REFRESHED = (*base.TASK_REFRESH_ATTRS, "metadata", "backend")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult(DjangoTaskResult):  # type: ignore[misc]  # the stubs miss "frozen"
    """Django's TaskResult with `metadata`, a JSON dict."""

    metadata: dict[str, Any] = field(default_factory=dict)

    def refresh(self) -> None:
        """Load the present state. Raises TaskResultDoesNotExist when it is no longer kept."""
        self._adopt(self.task.get_backend().get_result(self.id))

    async def arefresh(self) -> None:
        """See refresh()."""
        self._adopt(await self.task.get_backend().aget_result(self.id))

    def _adopt(self, fresh: DjangoTaskResult) -> None:
        for name in REFRESHED:
            object.__setattr__(self, name, getattr(fresh, name))


class Draft(DjangoTaskResult):
    """A TaskResult whose attributes can still be set, until it is sealed.

    Each task needs three results. Those of a frozen dataclass are set one by one through
    `object.__setattr__`, in its __init__ too, which takes six times as long.
    """

    __slots__ = ("metadata",)

    metadata: dict[str, Any]
    _return_value: Any

    # As in any class that is not frozen. Without the second, the first is not quick.
    __setattr__ = object.__setattr__
    __delattr__ = object.__delattr__

    @classmethod
    def blank(cls) -> "Draft":
        """Return a draft without any attribute."""
        return object.__new__(cls)

    @classmethod
    def of(cls, result: TaskResult) -> "Draft":
        """Return a draft with the attributes of `result`."""
        draft = cls.blank()
        draft.task = result.task
        draft.id = result.id
        draft.status = result.status
        draft.enqueued_at = result.enqueued_at
        draft.started_at = result.started_at
        draft.finished_at = result.finished_at
        draft.last_attempted_at = result.last_attempted_at
        draft.args = result.args
        draft.kwargs = result.kwargs
        draft.backend = result.backend
        draft.errors = result.errors
        draft.worker_ids = result.worker_ids
        draft._return_value = result._return_value  # type: ignore[attr-defined]
        draft.metadata = result.metadata
        return draft

    def sealed(self) -> TaskResult:
        """Make this very object a TaskResult, which has the same slots, and return it."""
        self.__class__ = TaskResult  # type: ignore[assignment]
        return cast("TaskResult", self)
