"""Results of tasks: the only place where one is made, advanced, encoded or decoded.

A result is never changed: each step of a task makes a new one, so whoever holds one can rely on it
until they refresh it.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring_ascii as encode_text
from traceback import format_exception
from typing import Any

from django.tasks import base
from django.tasks.base import TaskError, TaskResultStatus
from django.utils.json import normalize_json
from django.utils.module_loading import import_string

from hybrid_tasks.django_types import DjangoTask, DjangoTaskResult
from hybrid_tasks.tasks import Task, extended

UNSEEN_WORKER = "unknown"  # one that died before it could tell of its attempt
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


# Copying by the slots themselves takes a third of the time of getattr and setattr.
_COPIERS = [
    (slot.__get__, slot.__set__)
    for slot in (getattr(TaskResult, name) for name in TaskResult.__dataclass_fields__)
]
_set = object.__setattr__


def now() -> datetime:
    return datetime.now(UTC)


def delay_of(result: DjangoTaskResult) -> float:
    """Return the seconds until the task may run, by this process's clock."""
    run_after: datetime | None = result.task.run_after
    return (run_after - now()).total_seconds() if run_after else 0.0


def as_durable(result: "TaskResult") -> "TaskResult":
    """Return the result of a task that has a row in the outbox from now on."""
    task = extended(result.task)
    return result if task.durable else advance(result, task=task.using(durable=True))


def make(
    task: DjangoTask, args: Sequence[Any], kwargs: Mapping[str, Any], alias: str
) -> TaskResult:
    """Return the READY result of a task that is being enqueued.

    Raises TypeError for arguments that JSON cannot hold.
    """
    ours = extended(task)
    result = object.__new__(TaskResult)
    # Not through __init__, which takes as long as all the rest of enqueuing.
    _set(result, "task", ours)
    _set(result, "id", os.urandom(16).hex())
    _set(result, "status", TaskResultStatus.READY)
    _set(result, "enqueued_at", now())
    _set(result, "started_at", None)
    _set(result, "finished_at", None)
    _set(result, "last_attempted_at", None)
    _set(result, "args", normalize_json(args) if args else [])
    _set(result, "kwargs", normalize_json(kwargs) if kwargs else {})
    _set(result, "backend", alias)
    _set(result, "errors", [])
    _set(result, "worker_ids", [])
    _set(result, "_return_value", None)
    _set(result, "metadata", dict(ours.metadata))
    return result


def advance(result: TaskResult, **changes: Any) -> TaskResult:
    """Return a copy with `changes`. (dataclasses.replace would lose the return value.)"""
    copy = object.__new__(TaskResult)
    for get, put in _COPIERS:
        put(copy, get(result))
    for name, value in changes.items():
        _set(copy, name, value)
    return copy


def started(result: TaskResult, worker_id: str) -> TaskResult:
    """Return the result of a task whose next attempt begins."""
    moment = now()
    return advance(
        result,
        status=TaskResultStatus.RUNNING,
        started_at=result.started_at or moment,
        last_attempted_at=moment,
        worker_ids=[*result.worker_ids, worker_id],
    )


def attempted(result: TaskResult, attempts: int) -> TaskResult:
    """Return the result of a task of which that many attempts began, some of them unseen."""
    unseen = [UNSEEN_WORKER] * (attempts - result.attempts)
    return advance(result, worker_ids=[*result.worker_ids, *unseen]) if unseen else result


def come_due(result: TaskResult) -> TaskResult:
    """Return the result of a task whose time has come by the clock that counts: the database's.

    By the clock of the process that runs it, it may still be ahead.
    """
    if result.task.run_after is None:
        return result
    return advance(result, task=replace(result.task, run_after=None))


def succeeded(result: TaskResult, value: Any) -> TaskResult:
    """Return the result of a task that returned `value`, which must be normalised JSON."""
    return advance(
        result, status=TaskResultStatus.SUCCESSFUL, finished_at=now(), _return_value=value
    )


def failed(result: TaskResult, error: BaseException) -> TaskResult:
    """Return the result of a task that has ended with `error`."""
    return advance(
        result,
        status=TaskResultStatus.FAILED,
        finished_at=now(),
        errors=[*result.errors, task_error(error)],
    )


def to_retry(result: TaskResult, error: BaseException) -> TaskResult:
    """Return the result of a task that will be tried again after `error`."""
    return advance(
        result, status=TaskResultStatus.READY, errors=[*result.errors, task_error(error)]
    )


def task_error(error: BaseException) -> TaskError:
    kind = type(error)
    return TaskError(
        exception_class_path=f"{kind.__module__}.{kind.__qualname__}",
        traceback="".join(format_exception(error)),
    )


def encode(result: TaskResult) -> str:
    """Return the result as JSON text, for any process to decode."""
    errors = [[error.exception_class_path, error.traceback] for error in result.errors]
    value = result._return_value  # type: ignore[attr-defined]
    # What most results have is written as it is, which is quicker than an encoder for all.
    return (
        f'{{"task":{encode_task(extended(result.task))}'
        f',"id":{encode_text(result.id)},"status":"{result.status.value}"'
        f',"backend":{encode_text(result.backend)}'
        f',"enqueued_at":{encode_moment(result.enqueued_at)}'
        f',"started_at":{encode_moment(result.started_at)}'
        f',"finished_at":{encode_moment(result.finished_at)}'
        f',"last_attempted_at":{encode_moment(result.last_attempted_at)}'
        f',"args":{encode_json(result.args)},"kwargs":{encode_json(result.kwargs)}'
        f',"errors":{encode_json(errors)}'
        f',"worker_ids":[{",".join(map(encode_text, result.worker_ids))}]'
        f',"metadata":{encode_json(result.metadata)},"return_value":{encode_json(value)}}}'
    )


def encode_json(value: Any) -> str:
    if value is None:
        return "null"
    if not value and isinstance(value, (list, dict)):
        return "[]" if isinstance(value, list) else "{}"
    return json.dumps(value)


def encode_moment(moment: datetime | None) -> str:
    return f'"{moment.isoformat()}"' if moment else "null"


@lru_cache(maxsize=1000)
def encode_task(task: Task) -> str:
    """Return where a task is and how it differs from what its module says, as JSON text."""
    return json.dumps(
        {
            "path": task.module_path,
            "priority": task.priority,
            "queue_name": task.queue_name,
            "run_after": task.run_after and task.run_after.isoformat(),
            "max_attempts": task.max_attempts,
            "timeout": task.timeout,
            "backoff": path_of(task.backoff),
            "durable": task.durable,
        }
    )


def path_of(function: Callable[..., Any]) -> str | None:
    """Return the path from which `function` can be imported, or None."""
    path = f"{function.__module__}.{getattr(function, '__qualname__', '')}"
    try:
        return path if import_string(path) is function else None
    except ImportError:
        return None


def decode(text: str) -> TaskResult:
    """Return the result that `encode` made `text` of. Raises ImportError for an unknown task."""
    state = json.loads(text)
    options = state["task"]
    options["run_after"] = moment(options["run_after"])
    options["backoff"] = options["backoff"] and import_string(options["backoff"])
    result = TaskResult(
        task=find_task(options.pop("path")).using(backend=state["backend"], **options),
        id=state["id"],
        status=TaskResultStatus(state["status"]),
        args=state["args"],
        kwargs=state["kwargs"],
        backend=state["backend"],
        errors=[
            TaskError(exception_class_path=path, traceback=trace) for path, trace in state["errors"]
        ],
        worker_ids=state["worker_ids"],
        metadata=state["metadata"],
        enqueued_at=moment(state["enqueued_at"]),
        started_at=moment(state["started_at"]),
        finished_at=moment(state["finished_at"]),
        last_attempted_at=moment(state["last_attempted_at"]),
    )
    object.__setattr__(result, "_return_value", state["return_value"])
    return result


def moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def find_task(path: str) -> Task:
    """Return the task at a module path. Raises ImportError if there is none."""
    found = import_string(path)
    if not isinstance(found, base.Task):
        raise ImportError(f"{path} is a {type(found).__name__}, not a task.")
    return extended(found)


def normalised(value: Any) -> Any:
    """Return a copy of `value` as JSON holds it. Raises TypeError where it cannot."""
    return None if value is None else normalize_json(value)
