"""Questions that raise, hang or are cut short: each is a line, and nothing else."""

import threading
import time
from collections.abc import Iterator

import pytest

from hybrid_tasks.doctor.asking import LONGEST, Question, ask_all, shown
from hybrid_tasks.doctor.lines import Line, State, bad, doubtful, well, worst


class Untold(Exception):
    """One that cannot even be told."""

    def __str__(self) -> str:
        raise ValueError("no")


def one_then(error: BaseException) -> Iterator[Line]:
    yield well("first", "seen")
    raise error


@pytest.mark.parametrize(
    ("error", "seen"),
    [
        (ValueError("on\ntwo  lines"), "ValueError: on two lines"),
        (KeyError(), "KeyError"),
        (SystemExit(3), "SystemExit: 3"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (MemoryError(), "MemoryError"),
        (Untold(), "Untold"),
        (RecursionError("deep"), "RecursionError: deep"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_raises_is_a_bad_line(error: BaseException, seen: str) -> None:
    lines = ask_all([Question("part", lambda: one_then(error), "Do this.")], 10)
    assert lines == [well("first", "seen"), Line("part", State.BAD, seen, "Do this.")]


def test_a_long_error_is_cut() -> None:
    assert len(shown(ValueError("x" * 10_000))) < LONGEST + 10


def test_what_hangs_holds_up_nobody() -> None:
    released = threading.Event()

    def hang(part: str) -> Iterator[Line]:
        yield well(part, "before")
        released.wait()
        yield well(part, "too late")

    questions = [
        Question("one", lambda: hang("one"), "Wake it."),
        Question("other", lambda: iter([well("other", "quick")]), ""),
        Question("two", lambda: hang("two"), "Wake it."),
    ]
    began = time.monotonic()
    lines = ask_all(questions, 0.5)
    assert time.monotonic() - began < 0.9  # both together, not one after the other
    released.set()
    assert lines == [
        well("one", "before"),
        bad("one", "no answer within 0.5 s", "Wake it."),
        well("other", "quick"),
        well("two", "before"),
        bad("two", "no answer within 0.5 s", "Wake it."),
    ]


def test_the_worst_state_counts() -> None:
    lines = [well("a", ""), doubtful("b", "", ""), bad("c", "", "")]
    assert worst([]) is State.OK
    assert worst(lines[:1]) is State.OK
    assert worst(lines[:2]) is State.WARNING
    assert worst(reversed(lines)) is State.BAD
