"""Results of tasks: the only place where one is made, advanced, encoded or decoded.

A result is never changed: each step of a task makes a new one, so whoever holds one can rely on it
until they refresh it.
"""

import json
import os
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from traceback import format_exception
from typing import Any

import orjson
from django.tasks.base import TaskError, TaskResultStatus

from hybrid_tasks.django_types import DjangoTask, DjangoTaskResult
from hybrid_tasks.exceptions import TaskCancelled
from hybrid_tasks.results.registry import find_backoff, find_task
from hybrid_tasks.results.task_result import END, STEP_ENDED, STEP_READY, Draft, TaskResult, rank_of
from hybrid_tasks.results.values import LIMIT, normalised
from hybrid_tasks.runtime import now
from hybrid_tasks.tasks import Task, extended, path_of, restored

UNSEEN_WORKER = "unknown"  # one that died before it could tell of its attempt
TRACEBACK_LIMIT = 32_768  # characters of each that are kept: its beginning and its end
GENERATIONS = 999
RANK_DIGITS = 10  # 3 of the generation, 6 of the attempts, 1 of the step
RANK_AT = len('{"rank":"')  # where they begin in the text of a result


def delay_of(result: DjangoTaskResult) -> float:
    """Return the seconds until the task may run, by this process's clock."""
    run_after: datetime | None = result.task.run_after
    return (run_after - now()).total_seconds() if run_after else 0.0


def as_durable(result: TaskResult) -> TaskResult:
    """Return the result of a task that has a row in the outbox from now on."""
    task = extended(result.task)
    return result if task.durable else advance(result, task=restored(task, durable=True))


def make(
    task: DjangoTask,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    alias: str,
    limit: int = LIMIT,
) -> TaskResult:
    """Return the READY result of a task that is being enqueued.

    Raises TypeError for arguments or metadata that JSON cannot hold, ValueTooLarge for more than
    `limit` bytes of each.
    """
    draft = Draft.blank()
    draft.task = ours = extended(task)
    draft.id = os.urandom(16).hex()
    draft.status = TaskResultStatus.READY
    draft.enqueued_at = now()
    draft.started_at = None
    draft.finished_at = None
    draft.last_attempted_at = None
    draft.args = normalised(list(args), limit, "The list of arguments") if args else []
    draft.kwargs = normalised(dict(kwargs), limit, "The keyword arguments") if kwargs else {}
    draft.backend = alias
    draft.errors = []
    draft.worker_ids = []
    draft._return_value = None
    draft.metadata = normalised(ours.metadata, limit, "The metadata") if ours.metadata else {}
    draft.generation = 0
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


def running(result: TaskResult) -> TaskResult:
    """Return the result of a task whose last attempt has begun somewhere."""
    return advance(result, status=TaskResultStatus.RUNNING)


def come_due(result: TaskResult) -> TaskResult:
    """Return the result of a task whose time has come by the clock that counts: the database's.

    By the clock of the process that runs it, it may still be ahead.
    """
    if result.task.run_after is None:
        return result
    return advance(result, task=restored(extended(result.task), run_after=None))


def delayed(result: TaskResult, seconds: float) -> TaskResult:
    """Return the result of a task that may not run before that many seconds are over."""
    if seconds <= 0:
        return result
    later = now() + timedelta(seconds=seconds)
    return advance(result, task=restored(extended(result.task), run_after=later))


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


def was_cancelled(result: TaskResult) -> bool:
    """Return whether a task has ended by a cancel."""
    path = f"{TaskCancelled.__module__}.{TaskCancelled.__qualname__}"
    return bool(result.errors) and result.errors[-1].exception_class_path == path


def to_retry(result: TaskResult, error: BaseException) -> TaskResult:
    """Return the result of a task that will be tried again after `error`."""
    return advance(
        result, status=TaskResultStatus.READY, errors=[*result.errors, task_error(error)]
    )


def task_error(error: BaseException) -> TaskError:
    """Return what is kept of an exception, whatever that does when it is asked for its text."""
    kind = type(error)
    return TaskError(
        exception_class_path=f"{kind.__module__}.{kind.__qualname__}",
        traceback=shortened(formatted(error)),
    )


def formatted(error: BaseException) -> str:
    try:
        return "".join(format_exception(error))
    except Exception as broken:  # noqa: BLE001 - its own code runs: __cause__, __notes__, repr
        return f"{type(error).__qualname__}, whose traceback cannot be told: {type(broken)!r}\n"


def shortened(text: str) -> str:
    """Return a text, or its beginning and end with a line between that says how much is missing."""
    missing = len(text) - TRACEBACK_LIMIT
    if missing <= 0:
        return text
    half = TRACEBACK_LIMIT // 2
    return f"{text[:half]}\n... {missing} characters are left out ...\n{text[-half:]}"


def encode(result: TaskResult) -> str:
    """Return the result as JSON text, for any process to decode."""
    errors = [[error.exception_class_path, error.traceback] for error in result.errors]
    state = {
        "rank": encode_rank(result),  # first: who keeps results compares it without decoding them
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
        "return_value": encode_json(result._return_value),
        "generation": result.generation,
    }
    return orjson.dumps(state).decode()


def encode_rank(result: TaskResult) -> str:
    """Return the rank of a result as text, whose order is that of ranks."""
    generation, attempts, step = rank_of(result)
    return f"{min(generation, GENERATIONS):03}{min(attempts, END):06}{step}"


def encoded_rank(text: str) -> str:
    """Return the rank in the text of a result; one of a version without ranks came first."""
    rank = text[RANK_AT : RANK_AT + RANK_DIGITS]
    return rank if rank.isdigit() else ""


def may_replace(new: str, old: str) -> bool:
    """Return whether one text of a result may replace another; see task_result.may_follow()."""
    before, after = encoded_rank(old), encoded_rank(new)
    return after >= before and not (after == before and is_end(before))


def is_end(rank: str) -> bool:
    """Return whether an encoded rank is that of a task that has ended."""
    return rank.endswith(f"{END}2")


def revived(content: dict[str, Any]) -> dict[str, Any]:
    """Return the decoded JSON of a task that a person has run again after it had failed for good.

    Its life begins anew, and outranks the one that has ended. For a task whose code is not here,
    too.
    """
    generation = int(content.get("generation", 0)) + 1
    changes: dict[str, Any] = {
        "status": "READY",
        "worker_ids": [],
        "started_at": None,
        "finished_at": None,
        "generation": generation,
    }
    ready = f"{min(generation, GENERATIONS):03}{0:06}{STEP_READY}"
    return {"rank": ready} | content | changes | {"rank": ready}


def encode_failed(content: dict[str, Any], error: BaseException) -> str:
    """Return as text the end of a task whose code is not here, from the decoded JSON of it."""
    generation = min(int(content.get("generation", 0)), GENERATIONS)
    rank = {"rank": f"{generation:03}{END:06}{STEP_ENDED}"}
    told = task_error(error)
    changes: dict[str, Any] = {
        "status": "FAILED",
        "finished_at": now().isoformat(),
        "errors": [*content["errors"], [told.exception_class_path, told.traceback]],
    }
    return json.dumps(rank | content | changes | rank, separators=(",", ":"))


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


def decode(text: str) -> TaskResult:
    """Return the result that `encode` made `text` of.

    Raises ImportError for a task that this process does not know, and ValueError, TypeError or
    KeyError for what is no result.
    """
    state = json.loads(text)
    options = state["task"]
    options["run_after"] = moment(options["run_after"])
    known = find_task(options.pop("path"))
    options["backoff"] = find_backoff(options["backoff"]) or known.backoff
    result = TaskResult(
        task=restored(known, backend=state["backend"], **options),
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
        generation=state.get("generation", 0),
        enqueued_at=moment(state["enqueued_at"]),
        started_at=moment(state["started_at"]),
        finished_at=moment(state["finished_at"]),
        last_attempted_at=moment(state["last_attempted_at"]),
    )
    object.__setattr__(result, "_return_value", state["return_value"])
    return result


def moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
