"""What is different with MySQL and MariaDB, on a MariaDB server whose defaults are odd ones."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import dj_database_url
import pytest
from django.db import DataError, OperationalError, connections, transaction
from django.utils import timezone
from pytest_django import DjangoDbBlocker, Settings

from hybrid_tasks.databases.errors import is_away, through_deadlocks
from hybrid_tasks.exceptions import OutboxUnavailable
from hybrid_tasks.execution.threads import then_close
from hybrid_tasks.outbox import inserts, packets, table
from hybrid_tasks.outbox.inserts import NewRow, RawRow
from hybrid_tasks.outbox.writer import writer
from hybrid_tasks.results import states
from hybrid_tasks.results.task_result import TaskResult
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.databases import add_database, routed_to
from tests.hybrid_tasks.outbox.rows import LEASE, State, add, add_many, change, make, row
from tests.mariadb import MariaDB, running_mariadb
from tests.processes import PATIENCE, wait_until

PACKET = packets.MIB
OPTIONS = {
    "isolation_level": "read committed",
    # Seconds that one waits for another's lock.
    "init_command": "SET innodb_lock_wait_timeout = 1",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDB]:
    """One that takes short statements only, and whose tables are what nobody would want."""
    odd = (f"--max-allowed-packet={PACKET}", "--default-storage-engine=MyISAM")
    with running_mariadb(tmp_path_factory.mktemp("odd"), *odd) as server:
        server.execute("ALTER DATABASE tests CHARACTER SET latin1")
        yield server


@pytest.fixture(scope="module")
def odd_alias(django_db_setup: None, django_db_blocker: DjangoDbBlocker, server: MariaDB) -> str:
    with django_db_blocker.unblock():
        parsed: dict[str, Any] = dict(dj_database_url.parse(server.url))
        return add_database("outbox_odd", **{**parsed, "OPTIONS": OPTIONS})


@pytest.fixture(autouse=True)
def database(
    odd_alias: str, settings: Settings, django_db_blocker: DjangoDbBlocker
) -> Iterator[str]:
    with django_db_blocker.unblock(), routed_to(odd_alias, settings):
        yield odd_alias


def of_size(size: int) -> TaskResult:
    """Return a task with an argument that long."""
    return states.make(tasks.echo.using(durable=True), ["x" * size], {}, "default")


# --- The table ------------------------------------------------------------------------------------


def test_any_text_is_kept_whatever_the_databases_character_set() -> None:
    made = states.make(tasks.echo.using(durable=True), ["🥩 ä \x00 \\ ' %s"], {}, "default")
    inserts.insert([NewRow(made)])
    assert states.decode(row(made.id).message) == made


def test_ids_that_differ_in_case_are_two() -> None:
    one = add()
    assert not table.rows([one.id.swapcase()]).exists()


def test_times_are_in_utc_wherever_the_server_is() -> None:
    found = row(add("me").id)
    now = datetime.now(UTC)
    assert abs(found.created_at - now) < timedelta(seconds=LEASE / 2)
    assert abs(found.available_at - now - timedelta(seconds=LEASE)) < timedelta(seconds=LEASE / 2)


def test_a_time_of_the_callers_is_compared_with_it() -> None:
    made = make()
    inserts.insert([NewRow(made, run_after=timezone.now() + timedelta(seconds=LEASE))])
    assert not table.rows().due().exists()
    assert table.rows().scheduled().count() == 1


def test_what_is_too_long_for_a_column_is_refused_not_cut() -> None:
    content = json.loads(states.encode(make()))
    content["task"]["queue_name"] = "q" * 101
    with pytest.raises(DataError, match="queue_name"):
        inserts.insert([RawRow(content, timezone.now())])
    assert not table.rows().exists()


# --- Statements -----------------------------------------------------------------------------------


def test_more_than_one_statement_holds_is_sent_in_several() -> None:
    made = [of_size(PACKET // 4) for _ in range(12)] + [make() for _ in range(1000)]
    inserts.insert(map(NewRow, made))
    assert table.rows().count() == len(made)


def test_who_asks_for_more_than_the_server_takes_is_told_and_nobody_else() -> None:
    there = writer()
    large, small = of_size(PACKET), make()
    with ThreadPoolExecutor() as pool:
        asked = [pool.submit(there.put_row, NewRow(one), PATIENCE) for one in (large, small)]
    refusal = r"takes 1\.3 MiB in a statement.* at most 1 MiB.* raise max_allowed_packet"
    with pytest.raises(OutboxUnavailable, match=refusal):
        asked[0].result()
    assert asked[1].result() is None
    assert [found.pk for found in table.rows()] == [small.id]


def test_a_message_that_has_grown_too_long_stays_as_it_was() -> None:
    """Nobody waits for that; the relay finds the row when its lease has ended."""
    there = writer()
    small = make()
    there.put_row(NewRow(small, holder=there.holder, lease=LEASE), PATIENCE)
    grown = states.failed(small, ValueError("bad meat"))
    there.bury(states.advance(grown, metadata={"notes": "x" * PACKET}))
    assert there.flush(PATIENCE)
    assert (row(small.id).state, there.failed) == (State.CLAIMED, 1)


def test_quotes_count_as_the_server_sees_them(odd_alias: str) -> None:
    message = "\"'\\ä" * 1000
    with connections[odd_alias].cursor() as cursor:
        cursor.execute("SELECT %s", [message])
        sent = len(cursor.cursor._executed)
    assert sent <= packets.weight(message) < sent + 2 * packets.REST


# --- Others in the way ----------------------------------------------------------------------------


def test_a_lock_that_is_not_had_in_time_is_waited_for_again(odd_alias: str) -> None:
    there = writer()
    (task_id,) = add_many(1, there.holder)
    locked, done = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic(odd_alias):
            change(task_id, sends=0)
            locked.set()
            assert done.wait(PATIENCE)

    with ThreadPoolExecutor() as pool:
        holding = pool.submit(then_close, hold)
        assert locked.wait(PATIENCE)
        there.remove(task_id)
        wait_until(lambda: "Lock wait timeout" in there.failure, "it was not had in time")
        done.set()
        holding.result()
        assert there.flush(PATIENCE)
    assert (table.rows().count(), there.failed) == (0, 0)


def test_a_transaction_that_a_deadlock_undid_is_begun_again(odd_alias: str) -> None:
    one, other = add_many(2)
    both = threading.Barrier(2)
    begun = {one: 0, other: 0}

    def change_both(first: str, second: str) -> None:
        def count() -> None:
            with transaction.atomic(odd_alias):
                begun[first] += 1
                change(first, sends=1)
                if begun[first] == 1:
                    both.wait(PATIENCE)
                change(second, sends=1)

        then_close(lambda: through_deadlocks(odd_alias, count))

    with ThreadPoolExecutor() as pool:
        for changed in [pool.submit(change_both, *ids) for ids in ((one, other), (other, one))]:
            changed.result()
    assert sorted(begun.values()) == [1, 2]


def test_a_deadlock_inside_of_a_callers_transaction_is_the_callers(odd_alias: str) -> None:
    calls = 0

    def fail() -> None:
        nonlocal calls
        calls += 1
        raise OperationalError(1213, "Deadlock found")

    with pytest.raises(OperationalError), transaction.atomic(odd_alias):
        through_deadlocks(odd_alias, fail)
    assert calls == 1
    with pytest.raises(OperationalError):
        through_deadlocks(odd_alias, fail)
    assert calls == 6


def test_a_connection_that_the_server_ended_is_replaced(server: MariaDB) -> None:
    there = writer()
    first, second = make(), make()
    there.put_row(NewRow(first), PATIENCE)
    others = "FROM information_schema.processlist WHERE user = 'tests' AND id <> CONNECTION_ID()"
    killed = [
        server.execute(f"KILL {number}") for (number,) in server.execute(f"SELECT id {others}")
    ]
    assert killed
    connections.close_all()
    there.put_row(NewRow(second), PATIENCE)
    assert {found.pk for found in table.rows()} == {first.id, second.id}


@pytest.mark.parametrize(
    ("statement", "away"),
    [
        ("SELECT nothing", False),
        ("INSERT INTO odd VALUES ('🥩')", False),
        ("INSERT INTO odd (word, nothing) VALUES ('a', 'b')", False),
        ("KILL CONNECTION_ID()", True),
        ("SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213", True),
    ],
)
def test_errors_of_a_statement_are_told_from_those_of_the_server(
    statement: str, away: bool, odd_alias: str
) -> None:
    with connections[odd_alias].cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE odd (word varchar(10)) CHARACTER SET latin1")
        with pytest.raises(OperationalError) as refused:
            cursor.execute(statement)
    connections.close_all()
    assert is_away(refused.value) is away
