"""Periods."""

from datetime import UTC, date, datetime

import pytest

from reports.periods import Period


@pytest.mark.parametrize(
    ("text", "first", "after", "label", "previous"),
    [
        ("2026-10", date(2026, 10, 1), date(2026, 11, 1), "October 2026", "2026-09"),
        ("2026-01", date(2026, 1, 1), date(2026, 2, 1), "January 2026", "2025-12"),
        ("2026-Q4", date(2026, 10, 1), date(2027, 1, 1), "Fourth quarter of 2026", "2026-Q3"),
        ("2026-Q1", date(2026, 1, 1), date(2026, 4, 1), "First quarter of 2026", "2025-Q4"),
        ("2026", date(2026, 1, 1), date(2027, 1, 1), "2026", "2025"),
    ],
)
def test_what_is_written_is_read(
    text: str, first: date, after: date, label: str, previous: str
) -> None:
    period = Period.parse(text)
    assert (period.first, period.after, period.label) == (first, after, label)
    assert (str(period), str(period.previous)) == (text, previous)


@pytest.mark.parametrize(
    "text", ["", "October", "2026-13", "2026-00", "2026-Q5", "26-10", "2026-1"]
)
def test_anything_else_is_refused_with_the_ways_to_write_it(text: str) -> None:
    with pytest.raises(ValueError, match="write a month as 2026-10"):
        Period.parse(text)


def test_its_edges_are_midnights_in_utc() -> None:
    period = Period.parse("2026-10")
    assert period.begins == datetime(2026, 10, 1, tzinfo=UTC)
    assert period.ends == datetime(2026, 11, 1, tzinfo=UTC)


def test_the_last_closed_month() -> None:
    assert str(Period.last_closed(datetime(2026, 11, 1, 5, tzinfo=UTC))) == "2026-10"
    assert str(Period.last_closed(datetime(2026, 1, 31, tzinfo=UTC))) == "2025-12"


@pytest.mark.parametrize(
    ("text", "count"), [("2026-02", 28), ("2024-02", 29), ("2026-Q2", 3), ("2026", 12)]
)
def test_steps_cover_it_without_gap(text: str, count: int) -> None:
    period = Period.parse(text)
    steps = period.steps()
    assert len(steps) == count
    assert (steps[0][0], steps[-1][1]) == (period.first, period.after)
    assert [period.step_of(begins) for begins, _ in steps] == list(range(count))
