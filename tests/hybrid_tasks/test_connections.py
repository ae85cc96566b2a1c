"""Connections are given back before a long wait, whatever keeps them: an age, a pool, nothing."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import dj_database_url
import psycopg
import pytest
from django.db import OperationalError, connections, transaction
from django.test import TransactionTestCase
from pytest_django import DjangoDbBlocker, Settings

from hybrid_tasks.backends.eventloop import serve
from hybrid_tasks.databases import arelease_connections, release_connections
from hybrid_tasks.exceptions import OutboxUnavailable
from hybrid_tasks.execution.threads import then_close
from hybrid_tasks.outbox import table
from hybrid_tasks.tasks import task
from tests.hybrid_tasks.contract.waiting import finished, until
from tests.hybrid_tasks.databases import add_database, routed_to
from tests.hybrid_tasks.outbox import durable_tasks
from tests.hybrid_tasks.outbox.on_loop import use
from tests.hybrid_tasks.outbox.rows import row_states
from tests.postgres import Postgres
from tests.processes import wait_until

KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "persistent": {"CONN_MAX_AGE": 600},
    "pooled": {"OPTIONS": {"pool": {"min_size": 0, "max_size": 1, "timeout": 0.3}}},
}

BLOCKED_SECONDS = 10.0


class Database:
    """An alias of the server whose connections a test can count and cut off."""

    def __init__(self, server: Postgres, kind: str) -> None:
        self.alias = f"{kind}_{uuid4().hex[:8]}"
        self._url = server.url
        settings = {**dj_database_url.parse(server.url), **KINDS[kind]}
        settings["OPTIONS"] = {**settings.get("OPTIONS", {}), "application_name": self.alias}
        add_database(self.alias, **settings)
        connections[self.alias].close()

    def end(self) -> None:
        """Forget the alias, and its pool, of which a connection may still be on its way."""
        connections[self.alias].close()
        getattr(connections[self.alias], "close_pool")()  # noqa: B009 - of PostgreSQL only
        del connections[self.alias]
        del connections.settings[self.alias]

    def query(self) -> None:
        with connections[self.alias].cursor() as cursor:
            cursor.execute("SELECT 1")

    def held(self) -> bool:
        """Return whether this thread holds a connection."""
        return connections[self.alias].connection is not None

    def opened(self) -> int:
        """Return how many connections the server has."""
        with psycopg.connect(self._url) as connection:
            found = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", [self.alias]
            )
            return sum(number for (number,) in found)

    def elsewhere(self) -> None:
        """Query in another thread."""
        with ThreadPoolExecutor(1) as thread:
            thread.submit(then_close, self.query).result()


@pytest.fixture(params=KINDS)
def database(
    request: pytest.FixtureRequest,
    postgres: Postgres,
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[Database]:
    with django_db_blocker.unblock():
        database = Database(postgres, request.param)
        yield database
        database.end()


def test_the_next_query_gets_another(database: Database) -> None:
    database.query()
    assert database.held()
    release_connections()
    assert not database.held()
    release_connections()  # twice is as good as once
    database.query()
    assert database.held()


@pytest.mark.parametrize("database", ["plain", "persistent"], indirect=True)
def test_the_server_has_it_no_more(database: Database) -> None:
    database.query()
    assert database.opened() == 1
    release_connections()
    wait_until(lambda: database.opened() == 0, "it is closed")


@pytest.mark.parametrize("database", ["pooled"], indirect=True)
def test_a_pool_lends_it_to_another_thread(database: Database) -> None:
    database.query()
    with pytest.raises(OperationalError, match="couldn't get a connection"):
        database.elsewhere()
    release_connections()
    database.elsewhere()
    assert database.opened() == 1


def test_not_in_the_midst_of_a_transaction(database: Database) -> None:
    with transaction.atomic(database.alias):
        database.query()
        with pytest.raises(transaction.TransactionManagementError, match=database.alias):
            release_connections()
        assert database.held()
        database.query()
    release_connections()
    assert not database.held()


def test_not_in_a_transaction_without_a_block(database: Database) -> None:
    transaction.set_autocommit(False, database.alias)
    with pytest.raises(transaction.TransactionManagementError, match=database.alias):
        release_connections()
    transaction.rollback(database.alias)
    transaction.set_autocommit(True, database.alias)
    release_connections()
    assert not database.held()


def test_a_transaction_of_one_keeps_all(database: Database, outbox: str) -> None:
    """Half of them given back would be a state that nobody expects."""
    database.query()
    with transaction.atomic(outbox), pytest.raises(transaction.TransactionManagementError):
        release_connections()
    assert database.held()


@pytest.mark.django_db
def test_a_test_case_keeps_its_transaction() -> None:
    """What a test has written must be there after the code that it tests has waited."""
    before = connections["default"].connection
    assert connections["default"].in_atomic_block
    release_connections()
    assert connections["default"].connection is before
    with transaction.atomic(), pytest.raises(transaction.TransactionManagementError):
        release_connections()


class TestWithoutATransaction(TransactionTestCase):
    def test_is_as_in_a_process_of_its_own(self) -> None:
        connections["default"].ensure_connection()
        release_connections()
        assert connections["default"].connection is None


# --- On the loop ---------------------------------------------------------------------------------

begun: list[str] = []
go_on: list[asyncio.Event] = []


@task()
async def query_and_wait(alias: str) -> None:
    assert not await table.model().objects.using(alias).aexists()
    await arelease_connections()
    begun.append(alias)
    await go_on[0].wait()


@pytest.mark.parametrize("database", ["plain", "persistent"], indirect=True)
async def test_tasks_that_wait_hold_none(database: Database, only_loop: None) -> None:
    """A2: each attempt has a thread of its own, whose connection lasted as long as the attempt."""
    begun.clear()
    go_on[:] = [asyncio.Event()]
    async with serve():
        results: list[Any] = [await query_and_wait.aenqueue(database.alias) for _ in range(5)]
        await until(lambda: len(begun) == len(results), "all wait")
        opened = await asyncio.to_thread(database.opened)
        go_on[0].set()
        for result in results:
            assert (await finished(result)).errors == []
    assert opened == 0


# --- What waits for the outbox, or for a thread --------------------------------------------------


@pytest.mark.parametrize("database", ["pooled"], indirect=True)
def test_the_outbox_writes_while_others_hold_the_whole_pool(
    database: Database, settings: Settings
) -> None:
    """Who reads rows, and then enqueues, waits for the writer with a connection in hand."""
    with routed_to(database.alias, settings):
        use(settings, outbox_timeout=60)
        database.query()
        assert database.held()
        with pytest.raises(OperationalError):
            database.elsewhere()
        try:
            result = durable_tasks.count.enqueue()
        except OutboxUnavailable as error:
            pytest.fail(f"{error}")
        wait_until(lambda: result.id in durable_tasks.runs, "it has run")
        wait_until(lambda: row_states() == {}, "its row is gone")


async def test_look_ups_need_no_thread_of_the_loops_own(only_loop: None) -> None:
    """A7: six calls that blocked in the loop's default pool held up all look-ups."""
    gate = threading.Event()
    loop = asyncio.get_running_loop()
    # They end by themselves, so that a failure does not hang as what it is about.
    blocked = [loop.run_in_executor(None, gate.wait, BLOCKED_SECONDS) for _ in range(40)]
    async with serve():
        result: Any = await durable_tasks.count.aenqueue()
        assert (await finished(result)).errors == []
        assert await result.task.get_backend().aget_result(result.id)
    still_blocked = not any(each.done() for each in blocked)
    gate.set()
    await asyncio.gather(*blocked)
    assert still_blocked
