"""The table that the siege prints at its end."""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.siege.scale import GROWTH_AIM, PAGE_AIM, TOLERANCE
from tests.siege.watching import Seen


@dataclass(frozen=True)
class Line:
    """What one siege brought, and what it cost.

    Attributes:
        brought: in words.
        answers: what was answered to it, in words.
        bound: connections to the database that all processes together may have.
        growth: of the web server's memory, from the first time to the second; None if unknown.
        lost: what was accepted and did not happen.
    """

    siege: str
    brought: str
    answers: str
    seen: Seen
    bound: int
    growth: float | None = None
    lost: int = 0

    def verify(self) -> None:
        """Fail if it cost more than it may."""
        bad = {status: n for status, n in self.seen.statuses.items() if status != 200}
        assert not bad, f"pages were answered with {bad}"
        assert self.seen.p99 < PAGE_AIM * TOLERANCE, f"99 of 100 pages within {self.seen.p99} s"
        assert self.seen.connections <= self.bound, f"{self.seen.connections} connections"
        assert not self.lost, f"{self.lost} are lost"
        if self.growth is not None:
            assert self.growth < GROWTH_AIM * TOLERANCE, f"memory grows by {self.growth:.0%}"


def table(lines: Sequence[Line]) -> list[str]:
    """Return the lines of a table of all sieges."""
    names = max(len(one.siege) for one in lines)
    brought = max(len(one.brought) for one in lines)
    answers = max(len(one.answers) for one in lines)
    head = (
        f"{'siege':{names}}  {'brought':{brought}}  {'answered':{answers}}"
        "  pages  p99 (aim 1 s)  connections  memory  lost"
    )
    told = [head]
    for one in lines:
        growth = "" if one.growth is None else f"{one.growth:+.0%}"
        told.append(
            f"{one.siege:{names}}  {one.brought:{brought}}  {one.answers:{answers}}"
            f"  {len(one.seen.seconds):5}  {one.seen.p99:11.2f} s"
            f"  {one.seen.connections:5} of {one.bound:2}  {growth:>6}  {one.lost:4}"
        )
    return told
