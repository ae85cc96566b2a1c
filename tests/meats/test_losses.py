"""What an order has begun is done, whatever dies meanwhile."""

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from tests.conftest import ROOT
from tests.meats.smokehouse import Smokehouse
from tests.postgres import running_postgres
from tests.processes import Process, wait_until


def with_all_parts(smokehouse: Smokehouse) -> Smokehouse:
    smokehouse.mail.start()
    smokehouse.partner.start()
    return smokehouse


@pytest.fixture
def smokehouse(tmp_path: Path) -> Iterator[Smokehouse]:
    smokehouse = with_all_parts(Smokehouse(tmp_path))
    yield smokehouse
    smokehouse.close()


def start_relay(smokehouse: Smokehouse) -> None:
    command = [sys.executable, str(ROOT / "manage.py"), "relay_outbox", "--interval=0.5"]
    smokehouse.parts.push(Process(command, smokehouse.env, smokehouse.log("relay")))


def test_an_order_and_its_receipt_survive_the_web_process(
    smokehouse: Smokehouse, tmp_path: Path
) -> None:
    # The receipt cannot be written yet, so both are under way when the process dies.
    (tmp_path / "receipts").write_text("a file where the folder should be")
    web = smokehouse.start_web(STEP_SECONDS="60", RETRY_SECONDS="1")
    visitor = smokehouse.visitor()
    smokehouse.parts.callback(visitor.http.close)
    visitor.order()
    web.wait_for("Smoking some ribs....")
    web.wait_for("meats.tasks.write_receipt")
    web.kill()
    (tmp_path / "receipts").unlink()

    database = smokehouse.parts.enter_context(closing(sqlite3.connect(tmp_path / "db.sqlite3")))
    with database:  # nobody has to wait for the leases of the dead
        database.execute("UPDATE hybrid_tasks_outboxtask SET available_at = '2026-01-01 00:00:00'")
    start_relay(smokehouse)
    smokehouse.start_worker()

    def is_smoked() -> bool:
        return database.execute("SELECT state FROM meats_order").fetchone() == ("smoked",)

    wait_until(is_smoked, "the order is smoked by a worker")
    wait_until(smokehouse.receipts, "the receipt is written by a worker")


def test_an_order_survives_an_outage_of_the_database(tmp_path: Path) -> None:
    with running_postgres(tmp_path) as postgres:
        smokehouse = with_all_parts(Smokehouse(tmp_path, DATABASE_URL=postgres.url))
        try:
            web = smokehouse.start_web(STEP_SECONDS="1")
            visitor = smokehouse.visitor()
            smokehouse.parts.callback(visitor.http.close)
            visitor.order()
            web.wait_for("Applying the Sweet Baby Ray's....")
            postgres.stop()
            # An ordinary task would use up its attempts; a durable one waits for its row.
            wait_until(
                lambda: web.lines("outbox cannot write", "smoke_order state=FAILED"),
                "the attempt has failed and the outage is felt",
            )
            postgres.start()
            start_relay(smokehouse)
            smokehouse.start_worker()

            def is_smoked() -> bool:
                with psycopg.connect(postgres.url) as connection:
                    row = connection.execute("SELECT state FROM meats_order").fetchone()
                return row == ("smoked",)

            wait_until(is_smoked, "the order is smoked when the database is back")
        finally:
            smokehouse.close()
