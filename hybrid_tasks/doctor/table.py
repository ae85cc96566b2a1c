"""The table for a terminal: one line for each part, wrapped to its width, and below what to do."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from textwrap import wrap

from hybrid_tasks.doctor.lines import Line, State
from hybrid_tasks.doctor.words import WHOLE

NARROWEST = 40  # columns
WIDEST = 120  # beyond, lines are harder to read
GAP = "  "
ARROW = "    -> "

type Paint = Callable[[State, str], str]


def table(lines: Sequence[Line], width: int, paint: Paint) -> Iterator[str]:
    """Yield the table in lines of at most `width` columns, if its words allow that.

    Arguments:
        paint: gives the text of a state its colour.
    """
    width = min(max(width, NARROWEST), WIDEST)
    of_part = min(max((len(line.part) for line in lines), default=4), width // 3)
    of_state = max(map(len, State))
    room = width - of_part - of_state - 2 * len(GAP)
    yield f"{'part':{of_part}}{GAP}{'state':{of_state}}{GAP}what was seen"
    yield GAP.join("-" * columns for columns in (of_part, of_state, room))
    for line in lines:
        parts, told = wrapped(line.part, of_part), wrapped(line.seen, room)
        states = [paint(line.state, line.state) + " " * (of_state - len(line.state))]
        rows = max(len(parts), len(told))
        parts += [""] * (rows - len(parts))
        told += [""] * (rows - len(told))
        states += [" " * of_state] * (rows - 1)
        for part, state, text in zip(parts, states, told, strict=True):
            yield f"{part:{of_part}}{GAP}{state}{GAP}{text}".rstrip()
        yield from advised(line.advice, width)


def advised(advice: str, width: int) -> Iterator[str]:
    """Yield what to do over the whole width: it may be a command, to be copied."""
    before = ARROW
    for text in wrapped(advice, width - len(ARROW)) if advice else ():
        yield before + text
        before = " " * len(ARROW)


def wrapped(text: str, columns: int) -> list[str]:
    """Return a text in lines; a command or an address that is longer than one stays whole."""
    clean = "".join(sign if sign.isprintable() or sign == WHOLE else " " for sign in text)
    lines = wrap(clean, columns, break_long_words=False, break_on_hyphens=False)
    return [line.replace(WHOLE, " ") for line in lines] or [""]


def summary(lines: Iterable[Line]) -> str:
    """Return how many lines there are of each state."""
    states = [line.state for line in lines]
    return ", ".join(f"{states.count(state)} {state}" for state in State)
