"""Hostile customers, a mail server that refuses, and a worker that is killed: on PostgreSQL.

Who can be mailed gets one mail, everybody else has a reason, and the sums are those of the orders.
"""

import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reports.periods import Period
from tests.postgres import running_postgres
from tests.reports import hostile
from tests.reports.slow_mail import is_refused_at_first
from tests.reports.system import System, prepared

LONG = 900.0  # seconds that a run with kills may take on a slow machine
REASONS = {
    "unmailable": "No mail can be sent to",
    "gone": "550 5.1.1 No such mailbox",
    "full": "452 4.2.2 The mailbox is full (tried 4 times)",
    "unsound": "items add up to",
}


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    env = {"REPORT_CHUNK": "20", "REPORT_TRIES": "4", "REPORT_RETRY_SECONDS": "0.5"}
    with running_postgres(tmp_path) as postgres, prepared(tmp_path, postgres, **env) as system:
        yield system


@pytest.mark.parametrize(
    ("customers", "kills"),
    [(200, 2), pytest.param(1_000, 5, marks=pytest.mark.slow_fault)],
)
def test_who_can_be_mailed_gets_one_mail_and_all_others_a_reason(
    system: System, customers: int, kills: int, capsys: pytest.CaptureFixture[str]
) -> None:
    period = Period.last_closed(datetime.now(UTC))
    planting = f"from tests.reports.hostile import plant; plant({customers})"
    system.manage("shell", "--no-imports", "--command", planting)
    system.start_mail("MoodyMailbox")
    system.start_worker()
    system.start_beat()
    began = time.monotonic()
    system.manage("send_reports", "--period", str(period), "--no-wait")
    fates = {number: hostile.fate(number) for number in range(customers)}
    mailable = {hostile.recipient(number) for number, fate in fates.items() if fate == "mailed"}

    for kill in range(kills):
        wanted = len(mailable) * (kill + 1) // (kills + 2)
        system.wait_for_worker(lambda: system.count_mails() >= wanted, f"{wanted} mails", LONG)  # noqa: B023
        system.kill_worker()
        system.start_worker()

    def ended() -> bool:
        return system.rows("SELECT state FROM reports_reportrun") == [("finished",)]

    system.wait_for_worker(ended, "the run is finished", LONG)
    took = time.monotonic() - began

    mails = system.recipients()
    assert mails == Counter(mailable)
    rows = system.rows(
        "SELECT customer.email, report.state, report.error, report.tries"
        " FROM reports_customerreport report JOIN meats_customer customer"
        " ON customer.id = report.customer_id"
    )
    by_address = {email: rest for email, *rest in rows}
    assert len(by_address) == len(rows) == customers
    for number, fate in fates.items():
        state, error, tries = by_address[hostile.address(number)]
        if fate in ("mailed", "kept"):
            assert (state, error) == ("sent" if fate == "mailed" else "kept", "")
        else:
            assert state == "failed"
            assert REASONS[fate] in error
        if fate == "mailed":
            assert tries == 2 * is_refused_at_first(hostile.recipient(number))
    counts = Counter(fates.values())
    failed = customers - counts["mailed"] - counts["kept"]
    assert system.rows("SELECT total, done, failed, error FROM reports_reportrun") == [
        (customers, customers - failed, failed, "")
    ]
    sums = system.rows(
        "SELECT count(*), sum(orders), sum(items), sum(total), sum(adjusted)"
        " FROM reports_customerreport WHERE checksum != ''"
    )
    sound = "(SELECT sum(price) FROM meats_orderitem WHERE order_id = o.id) = o.price"
    assert sums == system.rows(
        "SELECT count(*), count(*), (SELECT count(*) FROM meats_orderitem i JOIN meats_order o"  # noqa: S608
        f" ON o.id = i.order_id WHERE {sound}), sum(price),"
        " (SELECT sum(amount) FROM meats_adjustment a JOIN meats_order o ON o.id = a.order_id"
        f" WHERE {sound}) FROM meats_order o WHERE {sound}"
    )
    assert system.rows("SELECT count(*) FROM hybrid_tasks_outboxtask WHERE state = 'DEAD'") == [
        (0,)
    ]
    greylisted = sum(map(is_refused_at_first, mailable))
    with capsys.disabled():
        print(  # noqa: T201 - figures for people
            f"\n{customers:,} customers, {kills} kills, {took:.0f} s: {len(mails):,} mails to"
            f" {len(mailable):,} who can be mailed ({greylisted} of them refused twice for now);"
            f" {counts['kept']} want none; {failed} failed with a reason ({dict(counts)});"
            f" sums {sums[0]} as the orders."
        )
