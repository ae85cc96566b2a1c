"""Periods that reports are about: months, quarters and years, in ZONE."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Self

MONTHS_OF = {"month": 1, "quarter": 3, "year": 12}
# Where a month begins and ends, whatever TIME_ZONE pages are shown in: pass it to each Trunc.
ZONE = UTC
WRITTEN = re.compile(r"(?P<year>[2-9]\d{3})(?:-(?P<month>0[1-9]|1[0-2])|-Q(?P<quarter>[1-4]))?")


@dataclass(frozen=True, order=True)
class Period:
    """A stretch of whole months, from `first` to the day before `after`.

    Attributes:
        first: the first day of a month.
        months: 1, 3 or 12.
    """

    first: date
    months: int = 1

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the period written as 2026-10, 2026-Q4 or 2026. Raises ValueError."""
        found = WRITTEN.fullmatch(text.strip())
        if found is None:
            raise ValueError(
                f"{text!r} is no period: write a month as 2026-10, a quarter as 2026-Q4"
                " or a year as 2026."
            )
        year = int(found["year"])
        if found["quarter"]:
            return cls(date(year, int(found["quarter"]) * 3 - 2, 1), MONTHS_OF["quarter"])
        if found["month"]:
            return cls(date(year, int(found["month"]), 1), MONTHS_OF["month"])
        return cls(date(year, 1, 1), MONTHS_OF["year"])

    @classmethod
    def month_of(cls, day: date) -> Self:
        return cls(day.replace(day=1))

    @classmethod
    def last_closed(cls, now: datetime) -> Self:
        """Return the last month that was over at `now`."""
        return cls.month_of(now.astimezone(ZONE).date()).previous

    def __str__(self) -> str:
        if self.months == MONTHS_OF["year"]:
            return str(self.first.year)
        if self.months == MONTHS_OF["quarter"]:
            return f"{self.first.year}-Q{(self.first.month + 2) // 3}"
        return f"{self.first:%Y-%m}"

    @property
    def label(self) -> str:
        """The period in words, such as October 2026."""
        if self.months == MONTHS_OF["quarter"]:
            ordinal = ("First", "Second", "Third", "Fourth")[self.first.month // 3]
            return f"{ordinal} quarter of {self.first.year}"
        return str(self.first.year) if self.months == MONTHS_OF["year"] else f"{self.first:%B %Y}"

    @property
    def after(self) -> date:
        """The first day that no longer belongs to it."""
        return months_later(self.first, self.months)

    @property
    def previous(self) -> Self:
        """The period of the same length just before."""
        return type(self)(months_later(self.first, -self.months), self.months)

    @property
    def begins(self) -> datetime:
        return midnight(self.first)

    @property
    def ends(self) -> datetime:
        """The first moment after it."""
        return midnight(self.after)

    def steps(self) -> Sequence[tuple[date, date]]:
        """Return its days, or for longer periods its months, each as (first day, day after)."""
        if self.months == 1:
            days = (self.after - self.first).days
            edges = [self.first + timedelta(days=number) for number in range(days + 1)]
        else:
            edges = [months_later(self.first, number) for number in range(self.months + 1)]
        return list(pairwise(edges))

    def step_of(self, day: date) -> int:
        """Return which of its steps `day` is in, counted from 0; the caller knows it is in one."""
        if self.months == 1:
            return (day - self.first).days
        return (day.year - self.first.year) * 12 + day.month - self.first.month


def months_later(day: date, months: int) -> date:
    years, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(years, month + 1, 1)


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=ZONE)
