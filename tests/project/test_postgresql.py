"""The limits of PostgreSQL's settings, asked of a server, and which errors they lead to."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dj_database_url
import pytest
from django.db import DatabaseError, IntegrityError, OperationalError, connections
from django.http import HttpResponse
from django.test import RequestFactory
from pytest_django import DjangoDbBlocker

from hybrid_tasks.exceptions import OutboxUnavailable
from project.postgresql import with_limits
from project.unavailable import UnavailableMiddleware, will_pass
from tests.postgres import Postgres
from tests.processes import free_port

LIMITS: dict[str, Any] = {
    "pool_max": 2,
    "pool_timeout": 0.2,
    "connect_timeout": 1,
    "statement_timeout": 0.5,
    "lock_timeout": 0.25,
}
NONE = {**LIMITS, "pool_max": 0, "connect_timeout": 0, "statement_timeout": 0, "lock_timeout": 0}


class Alias:
    """A database of Django's under a name of its own."""

    def __init__(self, name: str, url: str, **limits: Any) -> None:
        self.name = name
        settings = dj_database_url.parse(url)
        settings |= with_limits(settings.get("OPTIONS", {}), **LIMITS | limits)  # type: ignore[typeddict-item]
        configured = connections.configure_settings({"default": {}, name: settings})
        connections.settings[name] = configured[name]

    def ask(self, statement: str) -> Any:
        with connections[self.name].cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchone() if cursor.description else None

    def error(self, statement: str) -> DatabaseError:
        with pytest.raises(DatabaseError) as raised:
            self.ask(statement)
        return raised.value

    def end(self) -> None:
        connections[self.name].close()
        getattr(connections[self.name], "close_pool")()  # noqa: B009 - of PostgreSQL only
        del connections[self.name], connections.settings[self.name]


@pytest.fixture
def aliases(django_db_blocker: DjangoDbBlocker) -> Iterator[list[Alias]]:
    made: list[Alias] = []
    with django_db_blocker.unblock():
        yield made
        for alias in made:
            alias.end()


@pytest.fixture
def limited(aliases: list[Alias], postgres: Postgres) -> Alias:
    aliases.append(Alias("limited", postgres.url))
    return aliases[-1]


@pytest.fixture
def other(aliases: list[Alias], postgres: Postgres) -> Alias:
    aliases.append(Alias("other", postgres.url, **NONE))
    return aliases[-1]


def shown(alias: Alias) -> list[str]:
    return [alias.ask(f"SHOW {name}")[0] for name in ("statement_timeout", "lock_timeout")]


def test_the_server_knows_the_limits(limited: Alias, other: Alias) -> None:
    assert shown(limited) == ["500ms", "250ms"]
    assert shown(other) == ["0", "0"]
    options = connections["other"].settings_dict["OPTIONS"]
    assert options == {}, "a pooler in between would refuse them"


def test_the_address_may_say_otherwise(aliases: list[Alias], postgres: Postgres) -> None:
    query = "options=-c%20lock_timeout%3D7s%20-c%20work_mem%3D5MB&connect_timeout=3"
    aliases.append(Alias("addressed", f"{postgres.url}?{query}"))
    assert shown(aliases[-1]) == ["500ms", "7s"]
    assert aliases[-1].ask("SHOW work_mem") == ("5MB",)
    assert connections["addressed"].settings_dict["OPTIONS"]["connect_timeout"] == 3


def test_what_takes_too_long_will_pass(limited: Alias, other: Alias) -> None:
    assert will_pass(limited.error("SELECT pg_sleep(60)"))
    connections["other"].set_autocommit(False)
    other.ask("LOCK TABLE pg_description IN ACCESS EXCLUSIVE MODE")
    error = limited.error("SELECT count(*) FROM pg_description")
    connections["other"].rollback()
    connections["other"].set_autocommit(True)
    assert "lock timeout" in str(error)
    assert will_pass(error)


def test_a_wrong_statement_will_not_pass(limited: Alias) -> None:
    assert not will_pass(limited.error("SELECT 1 FROM nowhere"))
    assert not will_pass(limited.error("SELECT 1 / 0"))
    assert not will_pass(IntegrityError("twice"))
    assert not will_pass(ValueError("no error of a database's"))


@pytest.mark.parametrize("pool_max", [0, 2])
def test_a_server_that_is_away_will_be_back(aliases: list[Alias], pool_max: int) -> None:
    away = f"postgres://postgres@127.0.0.1:{free_port()}/postgres"
    aliases.append(Alias("away", away, pool_max=pool_max))
    error = aliases[-1].error("SELECT 1")
    assert isinstance(error, OperationalError)
    assert will_pass(error)


def test_a_connection_that_was_cut_off_will_pass(limited: Alias, other: Alias) -> None:
    (pid,) = limited.ask("SELECT pg_backend_pid()")
    other.ask(f"SELECT pg_terminate_backend({pid}, 5000)")
    assert will_pass(limited.error("SELECT 1"))
    connections["limited"].close()
    assert limited.ask("SELECT 1") == (1,), "the pool has another one"


def test_of_sqlite_a_lock_will_pass_and_a_missing_table_not(
    tmp_path: Path, django_db_blocker: DjangoDbBlocker
) -> None:
    path = tmp_path / "db.sqlite3"
    settings = {"ENGINE": "django.db.backends.sqlite3", "NAME": path, "OPTIONS": {"timeout": 0}}
    configured = connections.configure_settings({"default": {}, "locked": settings})
    connections.settings["locked"] = configured["locked"]
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    with django_db_blocker.unblock(), connections["locked"].cursor() as cursor:
        with pytest.raises(OperationalError, match="locked") as raised:
            cursor.execute("CREATE TABLE one (id integer)")
        assert will_pass(raised.value)
        writer.execute("ROLLBACK")
        writer.close()
        with pytest.raises(OperationalError, match="no such table") as raised:
            cursor.execute("SELECT * FROM nowhere")
        assert not will_pass(raised.value)
    connections["locked"].close()
    del connections["locked"], connections.settings["locked"]


def test_a_task_that_the_database_did_not_take_will_pass() -> None:
    """The 503 says when to come back; whatever else was wrong stays a 500."""
    middleware = UnavailableMiddleware(lambda _request: HttpResponse())
    request = RequestFactory().get("/")
    answer = middleware.process_exception(request, OutboxUnavailable("not within 5 s"))
    assert answer is not None
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert answer["Cache-Control"] == "no-store"
    assert middleware.process_exception(request, ValueError("a bug")) is None
