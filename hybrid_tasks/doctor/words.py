"""How numbers, spans of time and processes are told."""

from collections.abc import Sequence
from datetime import UTC, datetime

from hybrid_tasks.traces import Trace

SHOWN = 4  # of many, so many are named
WHOLE = "\N{NO-BREAK SPACE}"  # between the words of a command that is to be copied


def milliseconds(seconds: float) -> str:
    """Return a short time."""
    return f"{seconds * 1000:.0f} ms" if seconds < 10 else f"{seconds:.0f} s"


def ago(seconds: float) -> str:
    """Return a span in the unit that suits it."""
    for unit, size in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def ahead(seconds: float) -> str:
    """Return how a clock differs that is that many seconds ahead, or behind."""
    return f"{abs(seconds):.1f} s {'ahead of' if seconds > 0 else 'behind'}"


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun, or what else has a plural."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"


def some(names: Sequence[str]) -> str:
    """Return names, of many only the first."""
    rest = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def who(trace: Trace) -> str:
    """Return the process of a trace, with the time since which it serves."""
    since = datetime.fromtimestamp(trace.since, UTC)
    return f"{trace.host}:{trace.pid} since {since:%Y-%m-%d %H:%M:%S} UTC"


def command(text: str) -> str:
    """Return a command that the table keeps in one line."""
    return text.replace(" ", WHOLE)
