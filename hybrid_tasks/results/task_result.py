"""The result of a task: a snapshot that never changes, and the draft of which one is made."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic

from django.tasks import TaskResultStatus, base

from hybrid_tasks.django_types import DjangoTaskResult, R

if TYPE_CHECKING:
    from hybrid_tasks.tasks import Task

REFRESHED = (*base.TASK_REFRESH_ATTRS, "metadata", "backend", "generation")

READY = TaskResultStatus.READY
RUNNING = TaskResultStatus.RUNNING

# Within one attempt. An end is the end, whatever attempt somebody else may still begin.
STEP_RUNNING, STEP_READY, STEP_ENDED = 0, 1, 2
END = 999_999  # counts as the attempt of every end

type Rank = tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult(  # type: ignore[misc]  # the stubs miss "frozen"
    DjangoTaskResult,
    Generic[R],  # noqa: UP046 - which has a default
):
    """Django's TaskResult with `metadata`, a JSON dict.

    To type checkers it is a TaskResult[R], of a task that returns R.

    Attributes:
        generation: how often a person has had this task run again after it had failed for good.
    """

    metadata: dict[str, Any] = field(default_factory=dict)
    generation: int = 0

    if TYPE_CHECKING:  # these are Django's own
        task: Task[..., R]
        _return_value: Any = field(init=False, default=None)

        @property
        def return_value(self) -> R: ...

    @property
    def rank(self) -> Rank:
        """What orders the states of one task: a state of a lower rank came before.

        READY of the first attempt, then RUNNING and READY of each attempt, then the end.
        """
        return rank_of(self)

    def refresh(self) -> None:
        """Load the present state, unless it is an earlier one.

        Raises TaskResultDoesNotExist when it is no longer kept.
        """
        self._adopt(self.task.get_backend().get_result(self.id))

    async def arefresh(self) -> None:
        """See refresh()."""
        self._adopt(await self.task.get_backend().aget_result(self.id))

    def _adopt(self, fresh: DjangoTaskResult) -> None:
        if isinstance(fresh, TaskResult) and not may_follow(fresh, self):
            return
        for name in REFRESHED:
            object.__setattr__(self, name, getattr(fresh, name))


def rank_of(result: TaskResult) -> Rank:
    status = result.status
    # By identity: to hash a member of an enumeration takes longer than all the rest here.
    if status is RUNNING:
        return (result.generation, len(result.worker_ids), STEP_RUNNING)
    if status is READY:
        return (result.generation, len(result.worker_ids), STEP_READY)
    return (result.generation, END, STEP_ENDED)


def may_follow(new: TaskResult, old: TaskResult) -> bool:
    """Return whether `new` may be written over `old`: states only go forward.

    Two of the same rank are of the same attempt, which may tell more of itself while it runs; an
    end stays as it is.
    """
    before, after = rank_of(old), rank_of(new)
    return after > before or (after == before and (before[1] != END or new.status is old.status))


class Draft(DjangoTaskResult):
    """A TaskResult whose attributes can still be set, until it is sealed.

    Each task needs three results. Those of a frozen dataclass are set one by one through
    `object.__setattr__`, in its __init__ too, which takes six times as long.
    """

    __slots__ = ("generation", "metadata")

    metadata: dict[str, Any]
    generation: int
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
        draft._return_value = result._return_value
        draft.metadata = result.metadata
        draft.generation = result.generation
        return draft

    def sealed(self) -> TaskResult:
        """Make this very object a TaskResult, which has the same slots, and return it."""
        self.__class__ = TaskResult  # type: ignore[assignment]
        return self  # type: ignore[return-value]
