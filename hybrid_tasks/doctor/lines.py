"""What is found: lines of a table."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How a part is, from well to bad."""

    OK = "ok"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Line:
    """One part of the system.

    Attributes:
        part: what was asked.
        state: how it is.
        seen: what was seen.
        advice: what to do, in one sentence; "" if it is well.
    """

    part: str
    state: State
    seen: str
    advice: str = ""


def well(part: str, seen: str) -> Line:
    return Line(part, State.OK, seen)


def doubtful(part: str, seen: str, advice: str) -> Line:
    return Line(part, State.WARNING, seen, advice)


def bad(part: str, seen: str, advice: str) -> Line:
    return Line(part, State.BAD, seen, advice)


def worst(lines: Iterable[Line]) -> State:
    """Return the worst state of all; that of nothing is ok."""
    order = list(State)
    return max((line.state for line in lines), key=order.index, default=State.OK)
