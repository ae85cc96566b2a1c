"""Asks questions at the same time, each in a thread that may hang or raise whatever it likes."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from django.db import connections

from hybrid_tasks.doctor.lines import Line, bad

LONGEST = 300  # characters of an error that are shown


@dataclass(slots=True)
class Question:
    """What is asked of one part.

    Attributes:
        part: its name in the table.
        ask: yields what is found; it may raise, and hang.
        advice: what to do if it does.
        lines: what was found until now.
    """

    part: str
    ask: Callable[[], Iterable[Line]]
    advice: str
    lines: list[Line] = field(default_factory=list)
    _done: threading.Event = field(default_factory=threading.Event)

    def begin(self) -> None:
        # A daemon: what hangs must not keep the process from its end.
        threading.Thread(target=self._run, name=f"doctor: {self.part}", daemon=True).start()

    def _run(self) -> None:
        try:
            for line in self.ask():
                self.lines.append(line)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is what was found
            self.lines.append(bad(self.part, shown(error), self.advice))
        finally:
            self._done.set()
            connections.close_all()  # of this thread

    def answer(self, deadline: float, seconds: float) -> list[Line]:
        """Return what was found; what is not found at the deadline was not answered."""
        if self._done.wait(max(0.0, deadline - time.monotonic())):
            return self.lines
        return [*self.lines, bad(self.part, f"no answer within {seconds:g} s", self.advice)]


def ask_all(questions: Sequence[Question], seconds: float) -> list[Line]:
    """Return the answers to all questions in their order, after that many seconds at the most."""
    deadline = time.monotonic() + seconds
    for question in questions:
        question.begin()
    return [line for question in questions for line in question.answer(deadline, seconds)]


def shown(error: BaseException) -> str:
    """Return the kind of an error and what it says, in one line of bearable length."""
    kind = type(error).__name__
    try:
        text = " ".join(str(error).split())
    except Exception:  # noqa: BLE001 - its own code runs
        text = ""
    told = f"{kind}: {text}" if text else kind
    return told if len(told) <= LONGEST else f"{told[:LONGEST]} …"
