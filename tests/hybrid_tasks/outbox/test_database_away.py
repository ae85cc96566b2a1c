"""A database server that stops, dies and comes back while others write into it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from django.db import connections
from pytest_django import DjangoDbBlocker, Settings

from hybrid_tasks import engine
from hybrid_tasks.exceptions import OutboxUnavailable
from hybrid_tasks.outbox.inserts import NewRow
from hybrid_tasks.outbox.writer import OutboxWriter
from tests.hybrid_tasks.databases import Server, add_server, routed_to
from tests.hybrid_tasks.outbox.command import relay_outbox
from tests.hybrid_tasks.outbox.rows import (
    LEASE,
    State,
    add_many,
    make,
    row,
    row_states,
    states_apart,
)
from tests.hybrid_tasks.outbox.writers import Gate, Work
from tests.mariadb import running_mariadb
from tests.postgres import running_postgres
from tests.processes import PATIENCE, wait_until

SHORT = 1.0  # seconds

type Stop = Literal["fast", "crash"]


@pytest.fixture(scope="module", params=[running_postgres, running_mariadb])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    with request.param(tmp_path_factory.mktemp("failing")) as server:
        yield server


@pytest.fixture(scope="module")
def failing_alias(django_db_setup: None, django_db_blocker: DjangoDbBlocker, server: Server) -> str:
    with django_db_blocker.unblock():
        return add_server(f"outbox_failing_{type(server).__name__}", server)


@pytest.fixture
def database(
    failing_alias: str, server: Server, settings: Settings, django_db_blocker: DjangoDbBlocker
) -> Iterator[str]:
    with django_db_blocker.unblock(), routed_to(failing_alias, settings):
        yield failing_alias
        if server.process.popen.poll() is not None:
            server.start()
        connections.close_all()


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "PAUSE_CAP", 0.2)


def new(writer: OutboxWriter) -> NewRow:
    return NewRow(make(), holder=writer.holder, lease=LEASE)


def stop(server: Server) -> None:
    connections.close_all()
    server.stop()


def restart(server: Server, how: Stop = "fast") -> None:
    connections.close_all()
    server.restart(how)


async def test_who_waits_gets_through_when_it_is_back(
    a_writer: OutboxWriter, server: Server, gate: Gate
) -> None:
    rows = [new(a_writer) for _ in range(50)]
    await asyncio.to_thread(stop, server)
    waiting = [asyncio.create_task(a_writer.aput(one, PATIENCE)) for one in rows]
    await asyncio.to_thread(gate.wait_for_knock)
    await asyncio.to_thread(server.start)
    await asyncio.gather(*waiting)
    assert set(await asyncio.to_thread(states_apart)) == {one.result.id for one in rows}


def test_who_does_not_wait_so_long_is_told_and_leaves_no_row(
    a_writer: OutboxWriter, server: Server
) -> None:
    stop(server)
    with pytest.raises(OutboxUnavailable, match=r"did not take the task within 0\.3 s"):
        a_writer.put_row(new(a_writer), 0.3)
    server.start()
    assert a_writer.flush(PATIENCE)
    assert row_states() == {}


def test_an_idle_connection_that_was_cut_is_replaced(
    a_writer: OutboxWriter, server: Server
) -> None:
    one, other = new(a_writer), new(a_writer)
    a_writer.put_row(one, PATIENCE)
    restart(server)
    a_writer.put_row(other, PATIENCE)
    assert set(row_states()) == {one.result.id, other.result.id}


def test_what_nobody_waits_for_is_not_forgotten(a_writer: OutboxWriter, server: Server) -> None:
    rows = [new(a_writer) for _ in range(4)]
    a_writer.put_rows(rows, PATIENCE)
    ended, failed, released, kept = [one.result for one in rows]
    stop(server)
    a_writer.remove(ended.id)
    a_writer.bury(failed)
    a_writer.release(released.id)
    assert not a_writer.flush(0.3)
    server.start()
    assert a_writer.flush(PATIENCE)
    assert row_states() == {
        failed.id: State.DEAD,
        released.id: State.WAITING,
        kept.id: State.CLAIMED,
    }


async def test_an_attempt_waits_for_the_database(a_writer: OutboxWriter, server: Server) -> None:
    one = new(a_writer)
    await a_writer.aput(one, PATIENCE)
    await asyncio.to_thread(stop, server)
    starting = asyncio.create_task(a_writer.astart(one.result.id, LEASE, 1))
    done, _ = await asyncio.wait([starting], timeout=0.3)
    assert not done
    await asyncio.to_thread(server.start)
    assert await starting is True


def test_leases_are_renewed_when_it_is_back(a_writer: OutboxWriter, server: Server) -> None:
    task_id = Work(a_writer.runtime).put(a_writer, SHORT)
    restart(server)
    before = row(task_id).available_at
    wait_until(lambda: row(task_id).available_at > before, "the lease is renewed")
    assert row(task_id).claimed_by == a_writer.holder


@pytest.mark.parametrize("how", ["fast", "crash"])
async def test_accepted_is_what_is_there_whenever_it_dies(
    a_writer: OutboxWriter, server: Server, how: Stop
) -> None:
    """Nothing that was accepted is lost, and of what was refused nothing stays."""
    accepted: set[str] = set()
    refused: set[str] = set()
    stopping = asyncio.Event()

    async def order() -> None:
        while not stopping.is_set():
            one = new(a_writer)
            try:
                await a_writer.aput(one, 0.2)
            except OutboxUnavailable:
                refused.add(one.result.id)
            else:
                accepted.add(one.result.id)

    callers = [asyncio.create_task(order()) for _ in range(20)]
    for _ in range(2):
        enough = len(accepted) + 100
        while len(accepted) < enough:  # noqa: ASYNC110 - callers count, not events
            await asyncio.sleep(0.01)
        await asyncio.to_thread(server.restart, how)
    stopping.set()
    await asyncio.gather(*callers)
    assert await asyncio.to_thread(a_writer.flush, PATIENCE)
    there = set(await asyncio.to_thread(states_apart))
    assert accepted - there == set()
    assert there & refused == set()


def test_the_relay_goes_on_when_it_is_back(
    database: str, server: Server, broker_url: str, tmp_path: Path
) -> None:
    options = ["--interval", "0.1"]
    with relay_outbox(tmp_path / "log", server.url, broker_url, *options) as command:
        command.wait_for("Relaying every 0.1 s until stopped")
        before = add_many(1, alias="celery")
        wait_until(lambda: row_states() == {before[0]: State.SENT}, "it is sent")
        stop(server)
        command.wait_for("The outbox cannot be read, will try again")
        server.start()
        after = add_many(1, alias="celery")
        sent = dict.fromkeys(before + after, State.SENT)
        wait_until(lambda: row_states() == sent, "the next one is sent")
        assert command.stop() == 0, command.output()
