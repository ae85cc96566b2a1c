"""Rows for tests: made by the outbox itself, moved in time by the database's clock."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db.models import DurationField, ExpressionWrapper, F

from hybrid_tasks.databases.clock import Now
from hybrid_tasks.execution.threads import then_close
from hybrid_tasks.models import OutboxTask
from hybrid_tasks.outbox import inserts, table
from hybrid_tasks.outbox.clock import After
from hybrid_tasks.outbox.inserts import NewRow
from hybrid_tasks.results import states
from hybrid_tasks.results.task_result import TaskResult
from tests.hybrid_tasks import tasks

State = OutboxTask.State

LEASE = 1000.0  # seconds: no test takes so long
ABOUT = 300.0  # seconds that a slow test may lose of a lease


def make(task: Any = None, *, alias: str = "default", **options: Any) -> TaskResult:
    """Return the result of a durable task that is about to be enqueued."""
    durable = (task or tasks.echo).using(durable=True, backend=alias, **options)
    return states.make(durable, [], {}, alias)


def add(holder: str = "", **options: Any) -> TaskResult:
    """Insert a row that `holder` has claimed, or that waits; return its task's result."""
    result = make(**options)
    inserts.insert([NewRow(result, holder=holder, lease=LEASE)])
    return result


def add_many(count: int, holder: str = "", **options: Any) -> list[str]:
    """Insert rows; return their ids."""
    made = [make(**options) for _ in range(count)]
    inserts.insert(NewRow(result, holder=holder, lease=LEASE) for result in made)
    return [result.id for result in made]


def row(task_id: str) -> OutboxTask:
    return table.rows([task_id]).get()


def row_states() -> dict[str, str]:
    """Return the state of each row by its id, from any thread, leaving no connection behind."""
    return dict(table.rows().values_list("pk", "state"))


def states_apart() -> dict[str, str]:
    """See row_states(), for threads that others own: no connection is left behind."""
    return then_close(row_states)


def expire(*ids: str) -> None:
    """Let the lease of rows with its grace, or their wait, be over since a second."""
    over = table.rows(ids).update(available_at=After(-1), overdue=True)
    assert over == len(ids)


def seconds_left(task_id: str) -> float:
    """Return the seconds until the relay may take a row, by the database's clock."""
    left = ExpressionWrapper(F("available_at") - Now(), output_field=DurationField())
    found: timedelta = table.rows([task_id]).values_list(left, flat=True).get()
    return found.total_seconds()


def about(task_id: str, seconds: float) -> bool:
    """Return whether a row became available in `seconds` from a moment of this test."""
    return seconds - ABOUT < seconds_left(task_id) <= seconds + 0.01


def change(task_id: str, **values: Any) -> None:
    assert table.rows([task_id]).update(**values) == 1


type InState = Callable[[str], None]


def waits(task_id: str) -> None:
    change(task_id, state=State.WAITING, claimed_by="", available_at=After(-1))


def is_scheduled(task_id: str) -> None:
    change(task_id, state=State.WAITING, claimed_by="", available_at=After(LEASE))


def is_claimed(task_id: str) -> None:
    change(task_id, state=State.CLAIMED, claimed_by="other", available_at=After(LEASE))


def is_abandoned(task_id: str) -> None:
    past = After(-1)
    change(task_id, state=State.CLAIMED, claimed_by="other", available_at=past, overdue=True)


def is_sent(task_id: str) -> None:
    change(task_id, state=State.SENT, claimed_by="other", available_at=After(LEASE))


def is_sent_in_vain(task_id: str) -> None:
    change(task_id, state=State.SENT, claimed_by="other", available_at=After(-1))


def is_dead(task_id: str) -> None:
    change(task_id, state=State.DEAD, claimed_by="other", available_at=After(-1))


ALL = [waits, is_scheduled, is_claimed, is_abandoned, is_sent, is_sent_in_vain, is_dead]
DUE = [waits, is_abandoned, is_sent_in_vain]
