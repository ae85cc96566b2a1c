"""Tasks that return, raise and answer what nobody expects; they run in a worker or a test."""

import asyncio
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.tasks.signals import task_enqueued, task_finished, task_started

from hybrid_tasks.execution import TaskContext
from hybrid_tasks.tasks import task
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.unfriendly.values import by_name

# --- Values --------------------------------------------------------------------------------------


@task
async def give(name: str) -> Any:
    return by_name(name)


@task
def give_sync(name: str) -> Any:
    return by_name(name)


@task(takes_context=True)
async def save(context: TaskContext, name: str) -> str:
    """Save metadata of that name."""
    context.metadata["value"] = by_name(name)
    await context.asave_metadata()
    return "saved"


@task(takes_context=True)
def keep(context: TaskContext, name: str) -> str:
    """Leave metadata of that name, without saving it."""
    context.metadata["value"] = by_name(name)
    return "kept"


@task
async def take_apart(value: Any) -> str:
    """Spoil what was given, at every depth."""
    while isinstance(value, list) and value:
        value, _ = value.pop(), value.append("spoilt")
    return "spoilt"


# --- Exceptions ----------------------------------------------------------------------------------


class Textless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class Exiting(Exception):
    """One whose text ends the process."""

    def __str__(self) -> str:
        sys.exit("told nothing")


class Unpicklable(Exception):
    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")

    def __reduce__(self) -> Any:
        raise TypeError("no copy of this one")


class Stop(BaseException):
    """What no library expects."""


def in_a_circle() -> BaseException:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    return one


def with_notes(notes: Any) -> BaseException:
    error = ValueError("noted")
    error.__notes__ = notes
    return error


def local() -> BaseException:
    class Local(Exception):
        """One that nobody can import."""

    return Local("local")


def from_nowhere() -> BaseException:
    kind = type("Nowhere", (Exception,), {"__module__": None})
    error: BaseException = kind("nowhere")
    return error


def grouped() -> BaseException:
    inner = ExceptionGroup("inner", [ValueError(1), Textless()])
    return ExceptionGroup("outer", [inner, OSError("io")])


def recursive() -> BaseException:
    try:
        return recursive()
    except RecursionError as error:
        return error


RAISED: dict[str, Callable[[], BaseException]] = {
    "group": grouped,
    "group of exits": lambda: BaseExceptionGroup("exits", [SystemExit(1), KeyboardInterrupt()]),
    "no text": Textless,
    "text that exits": Exiting,
    "recursion": recursive,
    "ten megabytes": lambda: ValueError("x" * 10_000_000),
    "surrogates": lambda: ValueError("\ud800\x00"),
    "circle": in_a_circle,
    "notes that are none": lambda: with_notes(5),
    "notes of anything": lambda: with_notes([Textless(), None]),
    "local class": local,
    "no module": from_nowhere,
    "unpicklable": lambda: Unpicklable("neither", "nor"),
    "exit": lambda: SystemExit("that is it"),
    "exit without error": lambda: SystemExit(0),
    "interrupt": KeyboardInterrupt,
    "generator": GeneratorExit,
    "stop": StopIteration,
    "async stop": StopAsyncIteration,
    "memory": MemoryError,
    "cancelled": asyncio.CancelledError,
    "base": Stop,
    "time-out": TimeoutError,
    "no arguments": lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
}


@task
async def fail(name: str) -> None:
    raise RAISED[name]()


@task
def fail_sync(name: str) -> None:
    raise RAISED[name]()


def at_once(*_: Any) -> Any:
    return 0


@task(max_attempts=2, backoff=at_once)
async def fail_twice(name: str) -> None:
    raise RAISED[name]()


# --- Backoffs ------------------------------------------------------------------------------------


def to_infinity(*_: Any) -> Any:
    return float("inf")


def to_nothing(*_: Any) -> Any:
    return float("nan")


def to_text(*_: Any) -> Any:
    return "5"


def to_true(*_: Any) -> Any:
    return True


def to_delta(*_: Any) -> Any:
    return timedelta(seconds=5)


def to_object(*_: Any) -> Any:
    return object()


def to_coroutine(*_: Any) -> Any:
    return asyncio.sleep(0)


def to_exit(*_: Any) -> Any:
    sys.exit("the backoff ends")


def to_interrupt(*_: Any) -> Any:
    raise KeyboardInterrupt


def to_generator_exit(*_: Any) -> Any:
    raise GeneratorExit


def to_recursion(exception: Any, result: Any) -> Any:
    return to_recursion(exception, result)


def to_far_away(*_: Any) -> Any:
    return 5**2000


def to_the_past(*_: Any) -> Any:
    return -5


def to_little(*_: Any) -> Any:
    return 5e-324


def without_arguments() -> Any:
    return 0


# What is none, and by what the task fails then.
BROKEN: dict[str, tuple[Callable[..., Any], type[BaseException]]] = {
    "inf": (to_infinity, TypeError),
    "nan": (to_nothing, TypeError),
    "text": (to_text, TypeError),
    "bool": (to_true, TypeError),
    "timedelta": (to_delta, TypeError),
    "object": (to_object, TypeError),
    "coroutine": (to_coroutine, TypeError),
    "exit": (to_exit, SystemExit),
    "interrupt": (to_interrupt, KeyboardInterrupt),
    "generator": (to_generator_exit, GeneratorExit),
    "recursion": (to_recursion, RecursionError),
    "arguments": (without_arguments, TypeError),
}
SOUND: dict[str, Callable[..., Any]] = {"past": to_the_past, "little": to_little}


@task(max_attempts=3)
async def try_again() -> None:
    raise ValueError("not yet")


@task(max_attempts=3)
def try_again_sync() -> None:
    raise ValueError("not yet")


class Later:
    """A backoff that is called as a function, and has to be awaited."""

    async def __call__(self, *_: Any) -> float:
        return 0.0


later: Any = Later()


@task(max_attempts=3, backoff=later)
async def try_again_later() -> None:
    raise ValueError("not yet")


def trying(name: str, kind: Any = try_again) -> Any:
    """Return a task with a backoff of that name."""
    return kind.using(backoff=BROKEN[name][0] if name in BROKEN else SOUND[name])


far_away = try_again.using(backoff=to_far_away)
# Known by their names from now on, in workers too.
KNOWN = [trying(name) for name in (*BROKEN, *SOUND)]


# --- Receivers -----------------------------------------------------------------------------------


@task(max_attempts=2, backoff=at_once, takes_context=True)
async def be_noticed(context: TaskContext) -> int:
    """Fail at first, while receivers do what they like."""
    if context.attempt == 1:
        raise ValueError("not yet")
    return context.attempt


@task
def be_noticed_in_thread() -> str:
    return "noticed"


NOTICED = {be_noticed.module_path, be_noticed_in_thread.module_path}


async def raise_async(task_result: Any, **_: Any) -> None:
    if task_result.task.module_path in NOTICED:
        await asyncio.sleep(0)
        raise ValueError("an async receiver's trouble")


async def note_async(task_result: Any, **_: Any) -> None:
    if task_result.task.module_path in NOTICED:
        await asyncio.sleep(0.01)
        tasks.note(task_result.id, f"noticed {task_result.status}")


def raise_sync(task_result: Any, **_: Any) -> None:
    if task_result.task.module_path in NOTICED:
        raise ValueError("a receiver's trouble")


def spoil(task_result: Any, **_: Any) -> None:
    if task_result.task.module_path in NOTICED:
        object.__setattr__(task_result, "worker_ids", "spoilt")


RECEIVERS = (raise_async, note_async, raise_sync, spoil)


def connect() -> None:
    """Let the receivers receive, in this process."""
    for signal in (task_enqueued, task_started, task_finished):
        for receiver in RECEIVERS:
            signal.connect(receiver)


def disconnect() -> None:
    for signal in (task_enqueued, task_started, task_finished):
        for receiver in RECEIVERS:
            signal.disconnect(receiver)


if "celery" in sys.argv[0]:
    connect()
