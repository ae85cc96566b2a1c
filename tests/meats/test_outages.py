"""Partner and mail server away, slow or unwilling: what was ordered is told exactly once."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.meats.smokehouse import Smokehouse, Visitor
from tests.processes import wait_until


@pytest.fixture
def smokehouse(tmp_path: Path) -> Iterator[Smokehouse]:
    smokehouse = Smokehouse(tmp_path)
    yield smokehouse
    smokehouse.close()


def attempts(visitor: Visitor, path: str, effect: str) -> int:
    tasks = visitor.tasks(path)
    # A result is stored a moment after its task is enqueued.
    attempts: int = tasks[effect]["attempts"] if effect in tasks else 0
    return attempts


def outbox(smokehouse: Smokehouse) -> list[tuple[str, str]]:
    """Return (task's path, its result as text) of the rows of the outbox."""
    with closing(sqlite3.connect(smokehouse.directory / "db.sqlite3")) as database:
        rows = database.execute("SELECT task_path, message FROM hybrid_tasks_outboxtask")
        return rows.fetchall()


def test_a_partner_that_comes_back_is_called_once(smokehouse: Smokehouse) -> None:
    smokehouse.mail.start()
    smokehouse.start_web()
    visitor = smokehouse.visitor()
    path = visitor.order()
    wait_until(lambda: attempts(visitor, path, "partner") >= 2, "the partner was tried twice")
    assert visitor.tasks(path)["partner"]["error"] == "ConnectError"
    smokehouse.partner.start()
    *_, last = visitor.events(path)
    assert last["tasks"]["partner"]["state"] == "SUCCESSFUL"
    ((key, told),) = smokehouse.partner.accepted()
    assert len(smokehouse.partner.calls) == 1
    assert key == last["tasks"]["partner"]["id"]
    assert (told["meats"], told["price"]) == (["ribs"], "14.50")
    wait_until(lambda: outbox(smokehouse) == [], "nothing is left to do")


def test_a_mail_server_that_comes_back_gets_the_mail_once(smokehouse: Smokehouse) -> None:
    smokehouse.partner.start()
    smokehouse.start_web()
    visitor = smokehouse.visitor()
    path = visitor.order()
    wait_until(lambda: attempts(visitor, path, "confirmation") >= 2, "the mail was tried twice")
    smokehouse.mail.start()
    *_, last = visitor.events(path)
    assert last["tasks"]["confirmation"]["state"] == "SUCCESSFUL"
    (mail,) = smokehouse.mail.received()
    assert mail["To"] == "ada@example.com"
    assert last["tasks"]["confirmation"]["id"] in mail["Message-ID"]


def test_a_partner_that_refuses_is_not_asked_again(smokehouse: Smokehouse) -> None:
    smokehouse.mail.start()
    smokehouse.partner.start()
    smokehouse.partner.answers = [(400, {})]
    smokehouse.start_web()
    visitor = smokehouse.visitor()
    *_, last = visitor.events(visitor.order())
    assert last["tasks"]["partner"] | {"id": ""} == {
        "id": "",
        "state": "FAILED",
        "words": "failed",
        "attempts": 1,
        "max_attempts": 5,
        "progress": None,
        "error": "HTTPStatusError",
    }
    assert len(smokehouse.partner.calls) == 1
    wait_until(lambda: "400 Bad Request" in str(outbox(smokehouse)), "a dead letter says why")
    ((task, _),) = outbox(smokehouse)
    assert task == "meats.tasks.notify_partner"


def test_a_busy_partner_is_asked_again_with_the_same_key(smokehouse: Smokehouse) -> None:
    smokehouse.mail.start()
    smokehouse.partner.start()
    smokehouse.partner.answers = [(429, {"Retry-After": "1"}), (503, {})]
    smokehouse.start_web()
    visitor = smokehouse.visitor()
    *_, last = visitor.events(visitor.order())
    assert last["tasks"]["partner"]["state"] == "SUCCESSFUL"
    assert [status for _, _, status in smokehouse.partner.calls] == [429, 503, 200]
    assert len({key for key, _, _ in smokehouse.partner.calls}) == 1
