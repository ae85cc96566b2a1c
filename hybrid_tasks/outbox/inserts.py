"""New rows of the outbox, and the one statement that inserts many of them."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import chain
from typing import Any, ClassVar

from django.db import connections
from django.db.models import DateTimeField, Value
from django.db.models.constants import OnConflict
from django.db.models.functions import Now

from hybrid_tasks.outbox.clock import After
from hybrid_tasks.outbox.table import CLAIMED, WAITING, alias, model
from hybrid_tasks.results import states
from hybrid_tasks.results.task_result import TaskResult
from hybrid_tasks.tasks import extended

MANY_PARAMS = 10_000  # in one statement, where the database has no limit that matters

COLUMNS = (
    *("id", "task_path", "backend", "queue_name", "priority", "state", "claimed_by"),
    *("attempts", "max_attempts", "sends", "message"),
)


@dataclass(frozen=True, slots=True)
class NewRow:
    """A row to insert.

    Attributes:
        result: of the task, which must be READY.
        holder: the process that claims it at once, or "" to leave it to the relay.
        lease: seconds that the holder has.
        run_after: when the relay may take it; None for at once. Without a holder only.
    """

    result: TaskResult
    holder: str = ""
    lease: float = 0.0
    run_after: datetime | None = None

    @property
    def id(self) -> str:
        """The id of the task."""
        return self.result.id

    @property
    def values(self) -> tuple[Any, ...]:
        """The values of COLUMNS."""
        result = self.result
        task = extended(result.task)
        return (
            *(result.id, task.module_path, result.backend, task.queue_name, task.priority),
            *(CLAIMED if self.holder else WAITING, self.holder),
            *(result.attempts, task.max_attempts, 0, states.encode(result)),
        )


@dataclass(frozen=True, slots=True)
class RawRow:
    """A row to insert for a task that this code does not know; for the relay.

    Attributes:
        content: the decoded JSON of its state.
        run_after: see NewRow.
    """

    content: dict[str, Any]
    run_after: datetime
    holder: ClassVar[str] = ""
    lease: ClassVar[float] = 0.0

    @property
    def id(self) -> str:
        """The id of the task."""
        return str(self.content["id"])

    @property
    def values(self) -> tuple[Any, ...]:
        """See NewRow."""
        content = self.content
        task = content["task"] | {"durable": True}
        return (
            *(self.id, task["path"], content["backend"], task["queue_name"], task["priority"]),
            *(WAITING, ""),
            *(len(content["worker_ids"]), task["max_attempts"], 0),
            json.dumps(content | {"task": task}),
        )


def available_at(lease: float | None, run_after: datetime | None) -> Any:
    """Return the expression for the end of a lease, or else for when the relay may take a row."""
    if lease is not None:
        return After(lease)
    return Value(run_after, DateTimeField()) if run_after else Now()


def insert(new: Iterable[NewRow | RawRow]) -> None:
    """Insert rows, with few statements; the caller decides on the transaction.

    One statement for many rows: in a thread beside a busy loop, each one waits for the interpreter
    to be given back. Django's bulk_create would take three times as long.
    """
    connection = connections[alias()]
    query = model().objects.all().query
    compiler = query.get_compiler(connection.alias)
    marks = ", ".join(["%s"] * len(COLUMNS))

    @cache
    def when(lease: float | None, run_after: datetime | None) -> tuple[str, Sequence[Any]]:
        expression = available_at(lease, run_after).resolve_expression(query)
        sql, params = compiler.compile(expression)
        return f"({marks}, {sql})", params

    rows, params = [], []
    for row in new:
        sql, more = when(row.lease if row.holder else None, row.run_after)
        rows.append(sql)
        params.append((*row.values, *more))
    quoted = map(connection.ops.quote_name, (*COLUMNS, "available_at"))
    table = connection.ops.quote_name(model()._meta.db_table)
    # When a commit's answer was lost, the rows are there already.
    insert_into = connection.ops.insert_statement(on_conflict=OnConflict.IGNORE)
    ignore = connection.ops.on_conflict_suffix_sql([], OnConflict.IGNORE, [], [])
    into = f"{insert_into} {table} ({', '.join(quoted)}) VALUES"
    size = (connection.features.max_query_params or MANY_PARAMS) // (len(COLUMNS) + 1)
    with connection.cursor() as cursor:
        for first in range(0, len(rows), size):
            several = slice(first, first + size)
            cursor.execute(
                f"{into} {', '.join(rows[several])} {ignore}",
                list(chain.from_iterable(params[several])),
            )
