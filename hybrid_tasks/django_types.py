"""Django's classes under the names that this package uses: generic for type checkers only."""

from typing import TYPE_CHECKING, Any

from django.tasks import base

if TYPE_CHECKING:
    DjangoTask = base.Task[..., Any]
    DjangoTaskResult = base.TaskResult[..., Any]
    DjangoTaskContext = base.TaskContext[..., Any]
else:
    DjangoTask = base.Task
    DjangoTaskResult = base.TaskResult
    DjangoTaskContext = base.TaskContext
