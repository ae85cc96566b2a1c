"""Backoffs that answer what nobody expects."""

import asyncio
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any


def at_once(*_: Any) -> Any:
    return 0


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
