"""What a scenario counts at its end, and the promises that the counts must keep."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.faults.databases import Row
from tests.faults.journal import History

LEAST = 500  # tasks that a scenario must have accepted
MAX_ATTEMPTS = {"plain": 1, "once": 1, "again": 3, "poison": 3}


@dataclass(frozen=True, slots=True)
class Counts:
    """One line of the table.

    Attributes:
        accepted: tasks whose enqueueing returned.
        effects: those of them that took effect, however often.
        lost: those that neither took effect nor are dead letters.
        repeated: attempts that followed one that was interrupted.
        dead: dead letters.
        refused: tasks that the caller was told are not accepted.
        seconds: from the end of the fault until all was done.
        aim: what `seconds` should not exceed on a machine that does nothing else.
        request: seconds of the slowest request during the fault, if that was measured.
    """

    scenario: str
    broker: str
    database: str
    accepted: int
    effects: int
    lost: int
    repeated: int
    dead: int
    refused: int
    seconds: float
    aim: float
    request: float | None


def verify(tasks: Mapping[str, History], rows: Sequence[Row]) -> None:
    """Fail unless every promise was kept, for accepted tasks and all others that have run."""
    dead = {row.id for row in rows if row.dead}
    left = [row for row in rows if not row.dead]
    assert not left, f"{len(left)} rows are stuck, such as {left[0]}"
    accepted = {task_id for task_id, history in tasks.items() if history.accepted}
    assert len(accepted) >= LEAST, f"only {len(accepted)} tasks were accepted"
    lost = [task_id for task_id in accepted - dead if not tasks[task_id].effects]
    assert not lost, f"{len(lost)} accepted tasks are lost: {lost[:3]}"
    for task_id, history in tasks.items():
        assert not history.overlaps, f"ran twice at once: {history}"
        assert not history.repeated_in_vain, f"ran again without need: {history}"
        assert len(history.attempts) <= MAX_ATTEMPTS[history.task], f"too often: {history}"
        if task_id in dead and history.attempts:
            assert history.attempts[-1].interrupted, f"dead, though it was done: {history}"
    for row in rows:
        assert row.attempts == row.max_attempts, f"dead with attempts left: {row}"


def count(
    scenario: str,
    broker: str,
    database: str,
    tasks: Mapping[str, History],
    rows: Sequence[Row],
    *,
    refused: int,
    seconds: float,
    aim: float,
    request: float | None,
) -> Counts:
    """Return the line of the table for what has happened."""
    dead = {row.id for row in rows if row.dead}
    accepted = {task_id: history for task_id, history in tasks.items() if history.accepted}
    return Counts(
        scenario=scenario,
        broker=broker,
        database=database,
        accepted=len(accepted),
        effects=sum(history.effects > 0 for history in accepted.values()),
        lost=sum(
            not history.effects and task_id not in dead for task_id, history in accepted.items()
        ),
        repeated=sum(max(0, len(history.attempts) - 1) for history in tasks.values()),
        dead=len(dead),
        refused=refused,
        seconds=seconds,
        aim=aim,
        request=request,
    )


def table(counts: Sequence[Counts]) -> list[str]:
    """Return the lines of a table of all scenarios."""
    width = max(len(one.scenario) for one in counts)
    head = ("accepted", "effects", "lost", "repeated", "dead", "refused")
    names = f"{'fault':{width}}  {'broker':8}  {'database':10}"
    lines = [f"{names}  {'  '.join(head)}  done in   aim  request"]
    for one in counts:
        numbers = (one.accepted, one.effects, one.lost, one.repeated, one.dead, one.refused)
        cells = [f"{value:>{len(title)}}" for value, title in zip(numbers, head, strict=False)]
        lines.append(
            f"{one.scenario:{width}}  {one.broker:8}  {one.database:10}  {'  '.join(cells)}"
            f"  {one.seconds:5.1f} s  {one.aim:2.0f} s"
            + (f"   {one.request:.1f} s" if one.request else "")
        )
    return lines
