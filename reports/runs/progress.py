"""How far a run is."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self

from django.db.models import Sum
from django.utils import timezone

from reports.models import ReportChunk, ReportRun


@dataclass(frozen=True, slots=True)
class Progress:
    """What is told of a run while it goes on.

    Attributes:
        done, failed: with what chunks that still run have achieved so far.
        rate: customers a second since the run was last started; 0.0 before the first.
        left: until the end at this rate; None when nobody can say.
    """

    state: str
    done: int
    failed: int
    total: int
    rate: float
    left: timedelta | None

    @classmethod
    def of(cls, run: ReportRun) -> Self:
        """Return the progress as the database has it now."""
        return cls.of_all([run])[0]

    @classmethod
    def of_all(cls, runs: Sequence[ReportRun]) -> list[Self]:
        """Return the progress of each of the runs, by one query."""
        open_chunks = ReportChunk.objects.filter(run__in=runs, finished=None).order_by()
        under_way = dict(open_chunks.values_list("run").annotate(Sum("done")))
        return [cls.from_counts(run, under_way.get(run.pk, 0)) for run in runs]

    @classmethod
    def from_counts(cls, run: ReportRun, under_way: int) -> Self:
        """Return the progress of a run whose open chunks have done so many customers."""
        done = min(run.done + under_way, max(0, run.total - run.failed))
        ended = run.finished or timezone.now()
        seconds = (ended - run.resumed).total_seconds() if run.resumed else 0.0
        worked = done + run.failed - run.done_before
        rate = worked / seconds if seconds > 0 and worked > 0 else 0.0
        to_do = run.total - done - run.failed
        left = timedelta(seconds=to_do / rate) if rate and run.is_active else None
        return cls(run.get_state_display(), done, run.failed, run.total, rate, left)

    @property
    def finished(self) -> int:
        return self.done + self.failed

    @property
    def words(self) -> str:
        """One line on how far it is."""
        words = [f"{self.finished:,} of {self.total:,} customers"]
        if self.rate:
            words.append(f"{self.rate:,.1f} a second")
        if self.left:
            words.append(f"about {in_words(self.left)} left")
        return ", ".join(words)

    def as_json(self) -> dict[str, Any]:
        return {
            "state": self.state,
            "finished": self.finished,
            "total": self.total,
            "words": self.words,
        }


def in_words(left: timedelta) -> str:
    seconds = round(left.total_seconds())
    if seconds < 90:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
