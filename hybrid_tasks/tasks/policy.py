"""The rules for the options of a task, each refused in one sentence."""

from datetime import datetime
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from typing import Any

from django.tasks import base
from django.tasks.exceptions import InvalidTask
from django.utils.json import normalize_json

MOST_ATTEMPTS = 100_000  # the order of a task's states has room for some more
LONGEST_SECONDS = 366 * 86_400.0  # for which anything waits: beyond, clocks of timers overflow


def validate_policy(task: Any) -> None:
    """Raise InvalidTask for an option of a new task that breaks its rule."""
    if isgeneratorfunction(task.func) or isasyncgenfunction(task.func):
        raise InvalidTask(
            f"{task.func.__qualname__} yields, so that nothing of it would run: a task returns its"
            " result at its end."
        )
    if not isinstance(task.priority, int):  # Django compares it, whatever it is
        raise InvalidTask(
            f"priority must be a whole number between {base.TASK_MIN_PRIORITY} and"
            f" {base.TASK_MAX_PRIORITY}."
        )
    if not isinstance(task.run_after, datetime | None):  # Django asks it for its zone
        raise InvalidTask(
            f"run_after is {shown(task.run_after)}: it must be an aware datetime, such as"
            " timezone.now() + timedelta(minutes=1)."
        )
    if type(task.max_attempts) is not int or not 1 <= task.max_attempts <= MOST_ATTEMPTS:
        raise InvalidTask(
            f"max_attempts is {shown(task.max_attempts)}: it must be a whole number from 1"
            f" to {MOST_ATTEMPTS}."
        )
    if task.timeout is not None and not is_duration(task.timeout):
        raise InvalidTask(f"timeout is {shown(task.timeout)}: it must be more than 0 seconds.")
    if not callable(task.backoff):
        raise InvalidTask(f"backoff is {shown(task.backoff)}: it must be a function.")
    if iscoroutinefunction(task.backoff):
        raise InvalidTask(f"backoff is {shown(task.backoff)}: it must be a sync function.")
    if not isinstance(task.metadata, dict):
        raise InvalidTask(f"metadata is {shown(task.metadata)}: it must be a dict.")


def as_json(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of what every result of a task begins with. Raises TypeError."""
    try:
        copy: Any = normalize_json(metadata)
    except (ValueError, RecursionError) as error:
        raise TypeError(f"The metadata cannot be JSON: {error}") from error
    return copy  # type: ignore[no-any-return]


def shown(value: Any) -> str:
    """Return the text of a value that is refused, also of a number that is too long to be told."""
    try:
        return repr(value)
    except Exception:  # noqa: BLE001 - its own code runs
        return f"a {type(value).__name__}"


def is_duration(value: Any) -> bool:
    """Return whether `value` is a finite number of seconds above 0."""
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and 0 < value <= LONGEST_SECONDS
    )
