"""Results of tasks: the only place where one is made, advanced, encoded or decoded.

A result is never changed: each step of a task makes a new one, so whoever holds one can rely on it
until they refresh it.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from traceback import format_exception
from typing import Any

import orjson
from django.tasks import base
from django.tasks.base import TaskError, TaskResultStatus
from django.utils.json import normalize_json
from django.utils.module_loading import import_string

from hybrid_tasks.django_types import DjangoTask, DjangoTaskResult
from hybrid_tasks.results.task_result import Draft, TaskResult
from hybrid_tasks.tasks import Task, extended

UNSEEN_WORKER = "unknown"  # one that died before it could tell of its attempt


def now() -> datetime:
    return datetime.now(UTC)


def delay_of(result: DjangoTaskResult) -> float:
    """Return the seconds until the task may run, by this process's clock."""
    run_after: datetime | None = result.task.run_after
    return (run_after - now()).total_seconds() if run_after else 0.0


def as_durable(result: TaskResult) -> TaskResult:
    """Return the result of a task that has a row in the outbox from now on."""
    task = extended(result.task)
    return result if task.durable else advance(result, task=task.using(durable=True))


def make(
    task: DjangoTask, args: Sequence[Any], kwargs: Mapping[str, Any], alias: str
) -> TaskResult:
    """Return the READY result of a task that is being enqueued.

    Raises TypeError for arguments that JSON cannot hold.
    """
    draft = Draft.blank()
    draft.task = ours = extended(task)
    draft.id = os.urandom(16).hex()
    draft.status = TaskResultStatus.READY
    draft.enqueued_at = now()
    draft.started_at = None
    draft.finished_at = None
    draft.last_attempted_at = None
    draft.args = normalised(args) if args else []
    draft.kwargs = normalised(kwargs) if kwargs else {}
    draft.backend = alias
    draft.errors = []
    draft.worker_ids = []
    draft._return_value = None
    draft.metadata = dict(ours.metadata)
    return draft.sealed()


def advance(result: TaskResult, **changes: Any) -> TaskResult:
    """Return a copy with `changes`. (dataclasses.replace would lose the return value.)"""
    draft = Draft.of(result)
    for name, value in changes.items():
        setattr(draft, name, value)
    return draft.sealed()


def started(result: TaskResult, worker_id: str) -> TaskResult:
    """Return the result of a task whose next attempt begins."""
    draft = Draft.of(result)
    draft.status = TaskResultStatus.RUNNING
    draft.last_attempted_at = now()
    draft.started_at = result.started_at or draft.last_attempted_at
    draft.worker_ids = [*result.worker_ids, worker_id]
    return draft.sealed()


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
    draft = Draft.of(result)
    draft.status = TaskResultStatus.SUCCESSFUL
    draft.finished_at = now()
    draft._return_value = value
    return draft.sealed()


def failed(result: TaskResult, error: BaseException) -> TaskResult:
    """Return the result of a task that has ended with `error`."""
    draft = Draft.of(result)
    draft.status = TaskResultStatus.FAILED
    draft.finished_at = now()
    draft.errors = [*result.errors, task_error(error)]
    return draft.sealed()


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
    state = {
        "task": encode_task(extended(result.task)),
        "id": result.id,
        "status": result.status,
        "backend": result.backend,
        "enqueued_at": result.enqueued_at,
        "started_at": result.started_at,
        "finished_at": result.finished_at,
        "last_attempted_at": result.last_attempted_at,
        "args": encode_json(result.args),
        "kwargs": encode_json(result.kwargs),
        "errors": encode_json(errors),
        "worker_ids": result.worker_ids,
        "metadata": encode_json(result.metadata),
        "return_value": encode_json(result._return_value),  # type: ignore[attr-defined]
    }
    return orjson.dumps(state).decode()


def encode_json(value: Any) -> Any:
    """Return what stands for `value` in the state, whose encoder takes less than JSON can hold.

    It has no integers of more than 64 bits, no NaN and no halves of surrogate pairs.
    """
    return orjson.Fragment(json.dumps(value)) if value else value


@lru_cache(maxsize=1000)
def encode_task(task: Task) -> orjson.Fragment:
    """Return where a task is and how it differs from what its module says, as JSON."""
    return orjson.Fragment(
        json.dumps(
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
