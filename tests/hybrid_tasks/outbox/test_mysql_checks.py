"""What the outbox cannot work with on MySQL and MariaDB is found, with the reason."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import dj_database_url
import pytest
from django.db import connections, transaction
from django.db.backends.base import base
from django.db.utils import NotSupportedError
from pytest_django import DjangoDbBlocker, Settings

from hybrid_tasks.checks import check_database
from hybrid_tasks.execution.threads import then_close
from hybrid_tasks.outbox import claims, table
from tests.hybrid_tasks.databases import routed_to
from tests.hybrid_tasks.outbox.rows import LEASE, add, change
from tests.mariadb import MariaDB

ALIAS = "outbox_checked"

type Use = Callable[..., None]


@pytest.fixture
def use(
    mariadb_alias: str, mariadb: MariaDB, settings: Settings, django_db_blocker: DjangoDbBlocker
) -> Iterator[Use]:
    """A function that lets the outbox live in MariaDB, with these settings of the connection."""

    def use(**given: Any) -> None:
        if ALIAS in connections.settings:
            connections[ALIAS].close()
            del connections[ALIAS]
        wanted = {**dj_database_url.parse(mariadb.url), **given}
        configured = connections.configure_settings({"default": {}, ALIAS: wanted})
        connections.settings[ALIAS] = configured[ALIAS]

    use()
    with django_db_blocker.unblock(), routed_to(ALIAS, settings):
        yield use
        use()


def found() -> dict[str, str]:
    """Return what the check says, by id."""
    messages = list(check_database([ALIAS]))
    assert all(message.hint for message in messages)
    return {str(message.id).removeprefix("hybrid_tasks."): message.msg for message in messages}


def test_nothing_is_said_of_a_server_as_it_is_installed(use: Use) -> None:
    assert found() == {}


def test_a_database_that_is_not_asked_for_is_left_alone(use: Use) -> None:
    use(HOST="127.0.0.1", PORT=1)
    assert list(check_database(["default"])) == []
    assert list(check_database(None)) == []


@pytest.mark.parametrize(
    ("given", "expected", "says"),
    [
        ({"OPTIONS": {"isolation_level": "repeatable read"}}, "E031", "are REPEATABLE-READ"),
        ({"OPTIONS": {"isolation_level": "serializable"}}, "E031", "are SERIALIZABLE"),
        ({"OPTIONS": {"isolation_level": None}}, "E031", "are REPEATABLE-READ"),
        ({"OPTIONS": {"init_command": "SET sql_mode = ''"}}, "E032", "is not strict"),
        ({"TIME_ZONE": "Europe/Berlin"}, "E030", "is 'Europe/Berlin'"),
    ],
)
def test_a_connection_that_would_break_a_promise(
    given: dict[str, Any], expected: str, says: str, use: Use
) -> None:
    use(**given)
    messages = found()
    assert list(messages) == [expected]
    assert says in messages[expected]


@pytest.mark.parametrize(
    ("change_it", "expected", "says"),
    [
        ("ENGINE = MyISAM", "E034", "its table is MyISAM"),
        ("CONVERT TO CHARACTER SET latin1", "E035", "its table is latin1_swedish_ci"),
    ],
)
def test_a_table_that_would_break_a_promise(
    change_it: str, expected: str, says: str, use: Use, mariadb: MariaDB
) -> None:
    name = table.model()._meta.db_table
    mariadb.execute(f"ALTER TABLE tests.{name} {change_it}")
    try:
        messages = found()
    finally:
        mariadb.execute(
            f"ALTER TABLE tests.{name} ENGINE = InnoDB,"
            " CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
        )
    assert list(messages) == [expected]
    assert says in messages[expected]


def test_statements_that_could_not_hold_the_largest_task(use: Use, settings: Settings) -> None:
    loop = "hybrid_tasks.backends.eventloop.EventLoopBackend"
    settings.TASKS = {"default": {"BACKEND": loop, "OPTIONS": {"max_bytes": 5 * 2**20}}}
    assert "max_allowed_packet is 16 MiB" in found()["E033"]
    assert "need 20 MiB" in found()["E033"]


def test_before_the_table_is_there(use: Use, mariadb: MariaDB) -> None:
    """`migrate` runs these checks, too."""
    mariadb.execute("CREATE DATABASE IF NOT EXISTS nothing")
    use(NAME="nothing")
    try:
        assert found() == {}
    finally:
        use()


def test_a_server_that_is_too_old_is_refused_by_django(
    use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection: Any = connections[ALIAS]
    old = {**connection.mysql_server_data, "version": "10.5.29-MariaDB"}
    use()
    monkeypatch.setattr(base, "RAN_DB_VERSION_CHECK", set())
    monkeypatch.setitem(vars(connections[ALIAS]), "mysql_server_data", old)
    with pytest.raises(
        NotSupportedError, match=r"MariaDB 10\.6 or later is required \(found 10\.5"
    ):
        found()


def test_why_repeatable_read_is_refused(use: Use) -> None:
    """Who lost its row since its transaction first read would be told that it may begin."""
    told = {}
    for level in ("read committed", "repeatable read"):
        use(OPTIONS={"isolation_level": level})
        result = add("me")
        assert claims.start_held({result.id}, "me", LEASE, 1) == {result.id}
        with transaction.atomic(ALIAS):
            assert table.rows().count()
            with ThreadPoolExecutor(1) as other:
                take_over = partial(change, result.id, claimed_by="other")
                other.submit(then_close, take_over).result()
            told[level] = claims.start_held({result.id}, "me", LEASE, 1)
        table.rows().delete()
    assert told == {"read committed": set(), "repeatable read": {result.id}}
