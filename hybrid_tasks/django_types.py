"""Django's classes under the names that this package uses: generic for type checkers only.

P and R are the parameters of a task's function, without its context, and what it returns. Where a
class stands without them, as `Task` or `TaskResult`, it means any.
"""

from typing import TYPE_CHECKING, Any

from django.tasks import base

if TYPE_CHECKING:
    from typing_extensions import ParamSpec, TypeVar

    P = ParamSpec("P", default=...)
    R = TypeVar("R", default=Any, covariant=True)

    DjangoTask = base.Task[..., Any]
    DjangoTaskResult = base.TaskResult[..., Any]
    DjangoTaskContext = base.TaskContext[..., Any]
else:
    from typing import ParamSpec, TypeVar

    P = ParamSpec("P")  # its default is for Python 3.13
    R = TypeVar("R", covariant=True)

    DjangoTask = base.Task
    DjangoTaskResult = base.TaskResult
    DjangoTaskContext = base.TaskContext
