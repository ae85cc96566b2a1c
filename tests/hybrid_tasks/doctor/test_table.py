"""The table, in terminals of any width."""

import pytest

from hybrid_tasks.doctor.lines import State, bad, doubtful, well
from hybrid_tasks.doctor.table import table
from hybrid_tasks.doctor.words import ago, command, counted, milliseconds, some

COMMAND = "celery -A project worker --queues default,heavy,celery"
LINES = [
    well("cache 'default'", "RedisCache: written and read in 1 ms"),
    doubtful("settings", "one word after the other " * 8, "Do that " * 20),
    bad("queue 'heavy'", "no worker serves it", f"Start one: {command(COMMAND)}"),
    well("a part whose name is much longer than others are", "x" * 200),
]


def plain(_state: State, text: str) -> str:
    return text


@pytest.mark.parametrize("width", [1, 40, 80, 100, 120, 500])
def test_what_can_be_wrapped_is(width: int) -> None:
    room = min(max(width, 40), 120)
    for line in table(LINES, width, plain):
        if COMMAND not in line and "x" * 200 not in line:
            assert len(line) <= room
            assert line == line.rstrip()


@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_command_can_be_copied(width: int) -> None:
    assert [line for line in table(LINES, width, plain) if line.endswith(COMMAND)]


def test_colours_do_not_move_what_follows() -> None:
    def paint(state: State, text: str) -> str:
        return f"<{state}>{text}</{state}>"

    def unpainted(line: str) -> str:
        for state in State:
            line = line.replace(f"<{state}>", "").replace(f"</{state}>", "")
        return line

    painted = list(table(LINES, 80, paint))
    assert [unpainted(line) for line in painted] == list(table(LINES, 80, plain))
    assert sum("<bad>bad</bad>" in line for line in painted) == 1


def test_what_is_no_text_does_nothing_to_the_terminal() -> None:
    lines = [bad("part\x1b[2J", "seen\x07 \x1b]0;title\x07", "do\r\nthis")]
    assert "".join(table(lines, 80, plain)).isprintable()


def test_nothing_to_say_is_a_table_too() -> None:
    assert len(list(table([], 80, plain))) == 2


def test_words() -> None:
    assert [ago(seconds) for seconds in (-1, 5, 119, 120, 7200, 200_000)] == [
        "0 s",
        "5 s",
        "119 s",
        "2 min",
        "2 h",
        "2 days",
    ]
    assert [milliseconds(seconds) for seconds in (0.0012, 9.9, 12)] == ["1 ms", "9900 ms", "12 s"]
    assert (counted(1, "worker"), counted(2, "worker")) == ("1 worker", "2 workers")
    assert some(["a", "b"]) == "a, b"
    assert some([*"abcdef"]) == "a, b, c, d and 2 more"
