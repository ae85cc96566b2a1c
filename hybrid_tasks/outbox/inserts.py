"""New rows of the outbox, and the one statement that inserts many of them."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import chain
from typing import Any, ClassVar

from django.db import connections
from django.db.models import Value
from django.db.models.constants import OnConflict

from hybrid_tasks.databases.clock import Now
from hybrid_tasks.outbox import packets
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
MESSAGE = COLUMNS.index("message")

# A row's part of an INSERT, its parameters, and the bytes that it takes where that matters.
type Statement = tuple[str, Sequence[Any], int]


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
    return Value(run_after) if run_after else Now()


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

    rows: list[Statement] = []
    limited = connection.vendor == packets.LIMITED
    for row in new:
        values = row.values
        sql, more = when(row.lease if row.holder else None, row.run_after)
        weight = packets.weight(values[MESSAGE]) if limited else 0
        packets.refuse_too_heavy(connection, weight, packets.RESERVE)
        rows.append((sql, (*values, *more), weight))
    quoted = map(connection.ops.quote_name, (*COLUMNS, "available_at"))
    table = connection.ops.quote_name(model()._meta.db_table)
    insert_into, ignore = if_new(connection)
    into = f"{insert_into} {table} ({', '.join(quoted)}) VALUES"
    size = (connection.features.max_query_params or MANY_PARAMS) // (len(COLUMNS) + 1)
    with connection.cursor() as cursor:
        for some in in_statements(rows, size):
            cursor.execute(
                f"{into} {', '.join(sql for sql, _, _ in some)} {ignore}",
                list(chain.from_iterable(params for _, params, _ in some)),
            )


def if_new(connection: Any) -> tuple[str, str]:
    """Return beginning and end of an INSERT that leaves rows alone which are there already.

    As they are when a commit's answer was lost. MySQL's INSERT IGNORE would also cut what is too
    long for its column, without a word.
    """
    ops = connection.ops
    if connection.vendor == "mysql":
        key = [model()._meta.pk.column]
        suffix = ops.on_conflict_suffix_sql([], OnConflict.UPDATE, key, key)
        return ops.insert_statement(on_conflict=OnConflict.UPDATE), suffix
    suffix = ops.on_conflict_suffix_sql([], OnConflict.IGNORE, [], [])
    return ops.insert_statement(on_conflict=OnConflict.IGNORE), suffix


def in_statements(rows: Iterable[Statement], most: int) -> Iterator[list[Statement]]:
    """Yield rows, at most so many at once and not more bytes than a database surely takes."""
    some: list[Statement] = []
    weight = 0
    for row in rows:
        weight += row[2]
        if some and (len(some) == most or weight > packets.SURELY):
            yield some
            some, weight = [], row[2]
        some.append(row)
    if some:
        yield some
