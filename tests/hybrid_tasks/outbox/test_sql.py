"""Statements for databases that are not at hand: their text, and what is asked of the servers."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.db import DataError, connections
from django.db.backends.postgresql import base as postgresql
from django.db.models.constants import OnConflict
from pytest_django import Settings

from hybrid_tasks.execution.threads import then_close
from hybrid_tasks.outbox import inserts, lookup, mysql, packets, table
from hybrid_tasks.outbox.clock import After
from hybrid_tasks.outbox.inserts import NewRow, RawRow, available_at, if_new, in_statements
from hybrid_tasks.outbox.packets import MIB, SURELY
from hybrid_tasks.results import states
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.outbox.rows import LEASE, make

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


class Answering:
    """A connection to a server that is not there: it answers what it is told to, in turn.

    Attributes:
        asked: the statements, with their parameters.
    """

    alias = "default"
    vendor = "mysql"

    def __init__(self, *answers: Any, **attributes: Any) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, Any]] = []
        self.timezone_name = "UTC"
        self.mysql_is_mariadb = True
        vars(self).update(attributes)

    @contextmanager
    def cursor(self) -> Iterator["Answering"]:
        yield self

    def execute(self, sql: str, params: Any = None) -> None:
        self.asked.append((sql, params))

    def fetchone(self) -> Any:
        return self.answers.pop(0)


# --- Times ----------------------------------------------------------------------------------------


def sql_of(vendor: str, seconds: float) -> tuple[str, Any]:
    """Return how a database would be asked for the time in so many seconds."""
    query = table.model().objects.all().query
    compiler: Any = query.get_compiler("default")
    connection: Any = (
        postgresql.DatabaseWrapper({}) if vendor == "postgresql" else compiler.connection
    )
    compiler.connection = connection
    expression: Any = After(seconds).resolve_expression(query)
    sql, params = getattr(expression, f"as_{vendor}")(compiler, connection)
    return sql, tuple(params)


def test_a_lease_is_added_by_each_database_in_its_own_way() -> None:
    assert sql_of("mysql", 1.25) == ("(UTC_TIMESTAMP(6) + INTERVAL 1250000 MICROSECOND)", ())
    assert sql_of("mysql", -0.0000014) == ("(UTC_TIMESTAMP(6) + INTERVAL -1 MICROSECOND)", ())
    assert sql_of("postgresql", 1.25) == (
        "(STATEMENT_TIMESTAMP() + %s)",
        (timedelta(seconds=1.25),),
    )
    sqlite = "STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'NOW', '{} seconds')"
    assert sql_of("sqlite", 1.25) == (sqlite.format("+1.250"), ())
    assert sql_of("sqlite", -1) == (sqlite.format("-1.000"), ())


def test_a_row_is_free_at_the_end_of_its_lease_or_at_its_time_or_now() -> None:
    assert available_at(0.0, None).seconds == 0.0
    assert available_at(LEASE, NOON).seconds == LEASE
    given = available_at(None, NOON)
    assert (given.value, type(given.output_field).__name__) == (NOON, "DateTimeField")
    assert type(available_at(None, None)).__name__ == "Now"


# --- Inserts --------------------------------------------------------------------------------------


def test_a_new_row_says_what_its_task_is() -> None:
    task = tasks.plain.using(priority=7, queue_name="default")
    result = states.as_durable(states.make(task, [1], {}, "an alias"))
    tried = states.attempted(result, 2)
    row = NewRow(tried, holder="me", lease=LEASE)
    assert dict(zip(inserts.COLUMNS, row.values, strict=True)) == {
        "id": result.id,
        "task_path": "tests.hybrid_tasks.tasks.plain",
        "backend": "an alias",
        "queue_name": "default",
        "priority": 7,
        "state": "CLAIMED",
        "claimed_by": "me",
        "attempts": 2,
        "max_attempts": 1,
        "sends": 0,
        "message": states.encode(tried),
    }
    waits = NewRow(result)
    assert (waits.id, waits.lease, waits.run_after) == (result.id, 0.0, None)
    assert waits.values[5:7] == ("WAITING", "")


def test_a_row_of_a_task_whose_code_is_not_here_says_what_its_text_does() -> None:
    task = tasks.succeed_at.using(priority=7, max_attempts=4)
    result = states.attempted(states.make(task, [1], {}, "an alias"), 2)
    content = json.loads(states.encode(result))
    content["task"]["path"] = "gone.tasks.smoke"
    row = RawRow(content, NOON)
    assert (row.holder, row.lease, row.run_after) == ("", 0.0, NOON)
    *values, message = row.values
    assert dict(zip(inserts.COLUMNS, values, strict=False)) == {
        "id": result.id,
        "task_path": "gone.tasks.smoke",
        "backend": "an alias",
        "queue_name": "default",
        "priority": 7,
        "state": "WAITING",
        "claimed_by": "",
        "attempts": 2,
        "max_attempts": 4,
        "sends": 0,
    }
    assert json.loads(message) == content | {"task": content["task"] | {"durable": True}}
    assert content["task"]["durable"] is False


@pytest.mark.parametrize("most", [1, 2, 3, 7])
def test_statements_hold_no_more_rows_than_may_be(most: int) -> None:
    rows: Any = [(str(number), (), 0) for number in range(7)]
    statements = list(in_statements(rows, most))
    assert [one for some in statements for one in some] == rows
    assert [len(some) for some in statements[:-1]] == [most] * (len(statements) - 1)
    assert 0 < len(statements[-1]) <= most
    assert list(in_statements([], most)) == []


def test_statements_hold_no_more_bytes_than_each_server_takes() -> None:
    weights = [SURELY // 2, SURELY // 2, 1, SURELY + 5, SURELY, 3, SURELY - 3, 1]
    rows: Any = [(str(number), (), weight) for number, weight in enumerate(weights)]
    statements = [[int(name) for name, _, _ in some] for some in in_statements(rows, 100)]
    assert statements == [[0, 1], [2], [3], [4], [5, 6], [7]]


def test_what_is_there_already_is_left_alone_in_the_words_of_each_database() -> None:
    assert if_new(connections["default"]) == ("INSERT OR IGNORE INTO", "")
    assert if_new(postgresql.DatabaseWrapper({})) == ("INSERT INTO", "ON CONFLICT DO NOTHING")

    class Operations:
        def on_conflict_suffix_sql(self, *args: Any) -> str:
            asked.append(args)
            return "ON DUPLICATE KEY UPDATE `id` = `id`"

        def insert_statement(self, on_conflict: Any = None) -> str:
            asked.append((on_conflict,))
            return "INSERT INTO"

    asked: list[tuple[Any, ...]] = []
    found = if_new(Answering(ops=Operations()))
    assert found == ("INSERT INTO", "ON DUPLICATE KEY UPDATE `id` = `id`")
    assert asked == [([], OnConflict.UPDATE, ["id"], ["id"]), (OnConflict.UPDATE,)]


@pytest.mark.usefixtures("outbox")
def test_as_many_rows_are_in_a_statement_as_a_database_has_parameters_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connection = connections[table.alias()]
    columns = len(inserts.COLUMNS) + 1
    sizes: list[int] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith("INSERT"):
            sizes.append(sql.count("STRFTIME"))
            assert '"available_at") VALUES (' in sql
        return execute(sql, params, many, context)

    for given, expected in ((3 * columns, [3, 3, 1]), (4 * columns - 1, [3, 3, 1]), (None, [7])):
        monkeypatch.setattr(type(connection.features), "max_query_params", given)
        sizes.clear()
        with connection.execute_wrapper(note):
            inserts.insert(NewRow(make()) for _ in range(7))
        assert sizes == expected
    monkeypatch.setattr(inserts, "MANY_PARAMS", 2 * columns)
    sizes.clear()
    with connection.execute_wrapper(note):
        inserts.insert(NewRow(make()) for _ in range(7))
    assert sizes == [2, 2, 2, 1]


# --- How much a server takes ----------------------------------------------------------------------


def test_a_row_weighs_what_its_message_takes_with_its_quotes() -> None:
    for message, size in (("", 0), ("abc", 3), ("ä🥩", 6), ("\"\\'", 6), ("''a", 5)):
        assert packets.weight(message) == size + packets.REST


def test_a_server_is_asked_only_for_what_it_may_not_take() -> None:
    small = Answering()
    packets.refuse_too_heavy(small, SURELY, reserve=MIB)
    assert small.asked == []
    for limit, size, reserve in ((MIB, SURELY + 1, 0), (MIB, MIB, 0), (2 * MIB, MIB, MIB)):
        asked = Answering((limit,))
        packets.refuse_too_heavy(asked, size, reserve)
        assert asked.asked == [("SELECT @@max_allowed_packet", None)]
    packets.refuse_too_heavy(Answering((MIB,)), MIB)
    with pytest.raises(DataError) as refused:
        packets.refuse_too_heavy(Answering((MIB,)), MIB, MIB // 2)
    assert str(refused.value) == (
        "The task takes 1.5 MiB in a statement, with room for its errors, and the database at most"
        " 1 MiB: give the task less, or raise max_allowed_packet on the server."
    )
    with pytest.raises(DataError, match=r"takes 1\.0 MiB .* at most 0\.5 MiB"):
        packets.refuse_too_heavy(Answering((MIB // 2,)), MIB)


def test_a_message_fits_where_there_is_no_limit_and_is_weighed_where_there_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    message = "x" * MIB
    assert packets.fitting(message) == message
    server: Any = Answering((MIB,), (2 * MIB,))
    monkeypatch.setattr(packets, "connections", {table.alias(): server})
    with pytest.raises(DataError):
        packets.fitting(message)
    assert packets.fitting(message) == message


@pytest.mark.usefixtures("outbox")
def test_rows_are_weighed_where_there_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []
    monkeypatch.setattr(packets, "refuse_too_heavy", lambda *given: asked.append(given))
    row = NewRow(make())
    inserts.insert([row])
    connection = connections[table.alias()]
    monkeypatch.setattr(packets, "LIMITED", connection.vendor)
    inserts.insert([row])
    weight = packets.weight(states.encode(row.result))
    assert asked == [(connection, size, packets.RESERVE) for size in (0, weight)]


# --- What is asked of MySQL and MariaDB -----------------------------------------------------------

WELL = ("READ-COMMITTED", "NO_ZERO_DATE,STRICT_TRANS_TABLES", 16 * MIB)
TABLE = ("InnoDB", "utf8mb4_bin")
WHERE = "The outbox is in the database 'default'"


def told(connection: Answering, least: int = 16 * MIB) -> list[tuple[str, str, str]]:
    found = list(mysql.check(connection, least))
    return [(str(one.id).removeprefix("hybrid_tasks."), one.msg, str(one.hint)) for one in found]


@pytest.mark.parametrize("modes", ["STRICT_TRANS_TABLES", "STRICT_ALL_TABLES", WELL[1]])
@pytest.mark.parametrize("there", [TABLE, ("InnoDB", "utf8mb4_general_ci"), None])
def test_nothing_is_said_of_a_server_that_is_well(modes: str, there: Any) -> None:
    for mariadb, variable in ((True, "tx_isolation"), (False, "transaction_isolation")):
        server = Answering((WELL[0], modes, WELL[2]), there, mysql_is_mariadb=mariadb)
        assert told(server) == []
        assert server.asked == [
            (f"SELECT @@{variable}, @@sql_mode, @@max_allowed_packet", None),
            (
                "SELECT engine, table_collation FROM information_schema.tables"
                " WHERE table_schema = DATABASE() AND table_name = %s",
                ["hybrid_tasks_outboxtask"],
            ),
        ]


def test_all_that_would_break_a_promise_is_said_with_what_helps() -> None:
    server = Answering(
        ("SERIALIZABLE", "NO_ZERO_DATE", MIB),
        ("MyISAM", "latin1_bin"),
        timezone_name="Europe/Berlin",
    )
    name = table.model()._meta.db_table
    assert told(server, 3 * MIB // 2) == [
        (
            "E030",
            f"{WHERE}, whose TIME_ZONE is 'Europe/Berlin': leases are set in UTC.",
            "Leave TIME_ZONE out of DATABASES['default'].",
        ),
        (
            "E031",
            f"{WHERE}, whose transactions are SERIALIZABLE: who claims a task could read what was"
            " true before another had it.",
            "Leave 'isolation_level' out of OPTIONS: Django's default is 'read committed'.",
        ),
        (
            "E032",
            f"{WHERE}, whose sql_mode 'NO_ZERO_DATE' is not strict: what is too long for a column"
            " would be cut without a word.",
            "Add STRICT_TRANS_TABLES to sql_mode, as servers have it by default.",
        ),
        (
            "E033",
            f"{WHERE}, whose max_allowed_packet is 1 MiB: the largest tasks that 'max_bytes' allows"
            " need 1.5 MiB.",
            "Raise max_allowed_packet on the server, or lower the option 'max_bytes'.",
        ),
        (
            "E034",
            f"{WHERE}, and its table is MyISAM: without transactions and locks of rows a task could"
            " be lost, or run twice.",
            f"ALTER TABLE {name} ENGINE = InnoDB",
        ),
        (
            "E035",
            f"{WHERE}, and its table is latin1_bin: it cannot hold every character of a task's"
            " arguments.",
            f"ALTER TABLE {name} CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
        ),
    ]


# --- The last resort of a look-up -----------------------------------------------------------------


@pytest.mark.usefixtures("outbox")
@pytest.mark.parametrize(
    ("state", "attempts", "status", "seen"),
    [
        ("WAITING", 0, "READY", 0),
        ("WAITING", 2, "READY", 2),
        ("CLAIMED", 0, "READY", 0),
        ("CLAIMED", 1, "RUNNING", 1),
        ("CLAIMED", 3, "RUNNING", 3),
        ("SENT", 1, "READY", 1),
    ],
)
def test_a_row_tells_how_far_its_task_has_come(
    state: str, attempts: int, status: str, seen: int
) -> None:
    result = make(tasks.succeed_at)
    inserts.insert([NewRow(result)])
    table.rows([result.id]).update(state=state, attempts=attempts)
    for find in (lookup.from_row, lookup.from_row_if_there, lookup.from_row_apart):
        found = find(result.id)
        assert found is not None
        assert (found.id, found.status, found.attempts) == (result.id, status, seen)
        assert find("unknown") is None


@pytest.mark.usefixtures("outbox")
def test_a_row_that_tells_of_an_attempt_or_an_end_says_no_more_than_that() -> None:
    tried = states.to_retry(states.started(make(tasks.succeed_at), "one"), ValueError("not yet"))
    ended = states.failed(make(tasks.succeed_at), ValueError("bad"))
    for result in (tried, ended):
        inserts.insert([NewRow(result)])
        table.rows([result.id]).update(state="CLAIMED", attempts=1)
        assert lookup.from_row(result.id) == result


@pytest.mark.usefixtures("outbox")
async def test_sync_code_on_a_loop_is_told_by_a_thread() -> None:
    result = make()
    await asyncio.to_thread(then_close, partial(inserts.insert, [NewRow(result)]))
    assert lookup.from_row_if_there(result.id) == result
    assert lookup.from_row_if_there("unknown") is None


def test_rows_are_read_where_they_are_written(settings: Settings) -> None:
    class Replicated:
        def db_for_read(self, *_: object, **__: object) -> str:
            return "replica"

        def db_for_write(self, *_: object, **__: object) -> str:
            return "primary"

    settings.DATABASE_ROUTERS = [Replicated()]
    assert (table.alias(), table.rows().db, table.rows(["7"]).db) == ("primary",) * 3
