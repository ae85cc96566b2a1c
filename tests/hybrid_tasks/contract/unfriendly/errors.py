"""Exceptions that nobody expects."""

import asyncio
import sys
from collections.abc import Callable
from typing import Any


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
