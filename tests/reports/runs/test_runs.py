"""Runs of reports from start to end, with the tasks run in this process."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.core.files.storage import storages
from django.core.mail import EmailMessage
from django.db import connection
from django.db.models.fields.files import FieldFile
from django.test.utils import CaptureQueriesContext
from pypdf import PdfReader
from pytest_django import Settings

from hybrid_tasks.testing import CapturedTasks, capture_tasks
from meats.models import Order
from reports.document.builder import Totals
from reports.models import CustomerReport, ReportChunk, ReportRun
from reports.periods import Period
from reports.runs import chunks, control
from reports.runs.overview import reconcile
from reports.tasks import feeder, send_chunk
from tests.reports.orders import PERIOD, add_customer, add_customers, add_order

pytestmark = pytest.mark.django_db(transaction=True)

State = CustomerReport.State


@pytest.fixture(autouse=True)
def _small_chunks(settings: Settings) -> None:
    settings.REPORT_CHUNK = 3
    settings.REPORT_CHUNKS_AHEAD = 2
    shutil.rmtree(storages["reports"].path(""), ignore_errors=True)


@pytest.fixture
def tasks() -> Iterator[CapturedTasks]:
    """What is enqueued, which runs when the test says so."""
    with capture_tasks() as captured:
        yield captured


@pytest.fixture
def staff() -> User:
    return User.objects.create_user("staff", "staff@shop.example", is_staff=True)


def send_all(tasks: CapturedTasks, period: Period = PERIOD) -> ReportRun:
    """Start a run and let its tasks run to their end; return it as it is then."""
    run = control.start(period, feeder)
    tasks.run()
    run.refresh_from_db()
    return run


def mailed() -> list[str]:
    """Return to whom reports were mailed."""
    return sorted(message.to[0] for message in mail.outbox if "Your" in message.subject)


def states() -> dict[str, str]:
    """Return the state of each customer's report."""
    return dict(CustomerReport.objects.values_list("customer__name", "state"))


def attachment(message: EmailMessage) -> bytes:
    ((_, content, kind),) = message.attachments
    assert kind == "application/pdf"
    return content


def content_of(file: FieldFile) -> bytes:
    with file.open() as opened:
        return opened.read()


def test_every_customer_gets_one_mail_with_the_pdf(tasks: CapturedTasks) -> None:
    customers = add_customers(8)
    add_customer("Not There")
    run = send_all(tasks)
    assert (run.state, run.total, run.done, run.failed) == ("finished", 8, 8, 0)
    assert mailed() == sorted(customer.email for customer in customers)
    for report in CustomerReport.objects.select_related("customer"):
        message = next(found for found in mail.outbox if found.to == [report.customer.email])
        document = attachment(message)
        assert content_of(report.file) == document
        assert report.checksum == sha256(document).hexdigest()
        assert report.sent_at
        assert (report.orders, report.items, report.total) == (1, 2, Decimal("20.00"))
        text = PdfReader(BytesIO(document)).pages[0].extract_text()
        assert report.customer.name in text
        assert "$20.00" in text
        assert "/reports/own/" in message.body
        assert "/unsubscribe/" in message.extra_headers["List-Unsubscribe"]


def test_orders_of_other_times_do_not_count(tasks: CapturedTasks) -> None:
    ada = add_customer("Ada")
    add_order(ada, "ribs", period=PERIOD.previous)
    add_order(ada, "ribs", day=32)
    add_order(ada, "ribs", day=31)
    add_order(add_customer("Ben"), "ribs", period=PERIOD.previous)
    assert send_all(tasks).total == 1
    assert CustomerReport.objects.get().total == Decimal("10.00")


def test_who_unsubscribed_has_a_report_and_gets_no_mail(tasks: CapturedTasks) -> None:
    ada = add_customer("Ada", unsubscribed_at=datetime(2026, 1, 1, tzinfo=UTC))
    add_order(ada, "ribs")
    add_order(add_customer("Ben"), "ribs")
    run = send_all(tasks)
    assert states() == {"Ada": State.KEPT, "Ben": State.SENT}
    assert mailed() == ["ben@shop.example"]
    assert (run.done, run.failed) == (2, 0)
    assert len(content_of(CustomerReport.objects.get(customer=ada).file)) > 1000


def test_started_twice_it_sends_nothing_twice(tasks: CapturedTasks) -> None:
    add_customers(4)
    send_all(tasks)
    again = send_all(tasks)
    assert len(mailed()) == 4
    assert (again.state, again.done, again.total) == ("finished", 4, 4)
    assert ReportRun.objects.count() == 1


def test_started_again_it_serves_who_had_none(tasks: CapturedTasks) -> None:
    customers = add_customers(4)
    late = customers[0]
    Order.objects.filter(customer=late).update(created_at=PERIOD.ends)
    assert send_all(tasks).total == 3
    Order.objects.filter(customer=late).update(created_at=PERIOD.begins)
    run = send_all(tasks)
    assert (run.done, run.total) == (4, 4)
    assert len(set(mailed())) == len(mailed()) == 4


def test_one_bad_customer_stops_nobody_and_says_why(tasks: CapturedTasks) -> None:
    customers = add_customers(5)
    bad = customers[1].orders.get()
    Order.objects.filter(pk=bad.pk).update(price=Decimal("19.99"))
    run = send_all(tasks)
    assert (run.state, run.done, run.failed) == ("finished", 4, 1)
    report = CustomerReport.objects.get(state=State.FAILED)
    assert report.customer == customers[1]
    assert "costs 19.99, but its 2 items add up to 20.00" in report.error

    Order.objects.filter(pk=bad.pk).update(price=Decimal("20.00"))
    assert control.retry(run, feeder) == 1
    tasks.run()
    run.refresh_from_db()
    assert (run.state, run.done, run.failed) == ("finished", 5, 0)
    assert len(set(mailed())) == len(mailed()) == 5


def test_the_staff_get_a_summary_with_what_failed(tasks: CapturedTasks, staff: User) -> None:
    customers = add_customers(3)
    Order.objects.filter(customer=customers[0]).update(price=1)
    run = send_all(tasks)
    (message,) = [found for found in mail.outbox if found.to == [staff.email]]
    assert customers[0].email in message.body
    assert "2 reports mailed" in message.body
    text = PdfReader(BytesIO(attachment(message))).pages[0].extract_text()
    assert "October 2026" in text
    assert "$41.00" in text
    assert content_of(run.summary) == attachment(message)


def test_a_sum_that_is_wrong_is_named_for_all_to_see(tasks: CapturedTasks, staff: User) -> None:
    add_customers(2)
    run = control.start(PERIOD, feeder)
    while len(tasks.enqueued) < 2:
        tasks.run()
    ReportRun.objects.update(state=ReportRun.State.RUNNING)
    CustomerReport.objects.filter(customer__name="Customer 0").update(total=Decimal("20.01"))
    run = send_all(tasks)
    assert run.state == ReportRun.State.FINISHED
    assert "come to 2 orders, 4 items and $40.01" in run.error
    assert "the orders to 2 orders, 4 items and $40.00" in run.error
    assert [found.subject for found in mail.outbox if found.to == [staff.email]][-1].startswith(
        "DIFFERENCE"
    )
    assert (
        "They differ for customer.0@shop.example (1 orders, 2 items and $20.01 reported"
        in run.error
    )
    assert all(not result.errors for result in tasks.results)


def test_it_reconciles(tasks: CapturedTasks) -> None:
    add_customers(7, meats=("ribs", "tofu", "salmon"))
    send_all(tasks)
    assert reconcile(PERIOD) == Totals(7, 21, Decimal("210.00"))


def test_only_a_few_chunks_are_on_their_way_at_once(tasks: CapturedTasks) -> None:
    add_customers(20)
    control.start(PERIOD, feeder)
    assert len(tasks.enqueued) == 2
    assert CustomerReport.objects.count() == 6
    tasks.run()
    assert ReportChunk.objects.count() == 7


def test_a_chunk_takes_the_same_number_of_queries_whatever_the_number_of_customers(
    tasks: CapturedTasks, settings: Settings
) -> None:
    CustomerReport.require_storage()  # which asks more of one that is not marked yet
    counts = []
    for month, customers in (("2026-09", 6), ("2026-10", 30)):
        period = Period.parse(month)
        for number in range(customers):
            add_order(add_customer(f"{month} {number}"), "ribs", period=period)
        run = control.start(period, feeder)
        chunk = run.chunks.order_by("pk").first()
        assert chunk
        with CaptureQueriesContext(
            connection,
        ) as queries:
            chunks.make_chunk(chunk, lambda _done, _size: None)
        counts.append(len(queries))
        tasks.run()
    assert counts[0] == counts[1]
    # Its reports, two that end well for each of three customers, what they ordered and what was
    # adjusted, and the last sums.
    assert counts[0] <= 2 * settings.REPORT_CHUNK + 6


@contextmanager
def dying_at(monkeypatch: pytest.MonkeyPatch, place: str, customer: int) -> Iterator[None]:
    """Let the process die, as far as a test can, when it reaches a place for the nth time."""
    calls = 0
    original = getattr(chunks.Mailer, place)

    def die(self: chunks.Mailer, *args: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == customer:
            raise KeyboardInterrupt
        original(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(chunks.Mailer, place, die)
        with pytest.raises(KeyboardInterrupt):
            yield


def test_cut_off_before_a_mail_it_goes_on_there(
    tasks: CapturedTasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_customers(3)
    run = control.start(PERIOD, feeder)
    chunk = run.chunks.get()
    with dying_at(monkeypatch, "make_ready", 2):
        chunks.make_chunk(chunk, lambda _done, _size: None)
    assert sorted(states().values()) == [State.PENDING, State.PENDING, State.SENT]
    tasks.run()
    assert len(set(mailed())) == len(mailed()) == 3


def test_cut_off_while_mailing_without_an_archive_nobody_is_mailed_again(
    tasks: CapturedTasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_customers(3)
    run = control.start(PERIOD, feeder)
    with dying_at(monkeypatch, "send", 2):
        chunks.make_chunk(run.chunks.get(), lambda _done, _size: None)
    tasks.run()
    run.refresh_from_db()
    assert (run.state, run.done, run.failed) == ("finished", 2, 1)
    assert len(mailed()) == 2
    unknown = CustomerReport.objects.get(state=State.UNKNOWN)
    assert "may or may not have arrived" in unknown.error

    assert control.retry(run, feeder) == 0  # retrying what failed does not decide this
    assert control.settle(unknown, feeder, arrived=False)
    tasks.run()
    run.refresh_from_db()
    assert (run.done, run.failed) == (3, 0)
    assert len(set(mailed())) == len(mailed()) == 3
    assert not control.settle(unknown, feeder, arrived=True)


def test_what_perhaps_arrived_can_count_as_mailed(tasks: CapturedTasks) -> None:
    add_customers(2)
    run = send_all(tasks)
    report = CustomerReport.objects.first()
    assert report
    CustomerReport.objects.filter(pk=report.pk).update(state=State.UNKNOWN)
    ReportRun.objects.update(done=1, failed=1)
    assert control.settle(report, feeder, arrived=True)
    run.refresh_from_db()
    assert (run.done, run.failed) == (2, 0)
    assert set(states().values()) == {State.SENT}


@pytest.mark.parametrize("accepted", [True, False])
def test_the_archive_tells_whether_a_mail_was_accepted(
    tasks: CapturedTasks,
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
    tmp_path: Path,
    accepted: bool,
) -> None:
    archive = tmp_path / "archive"
    (archive / "new").mkdir(parents=True)
    settings.MAIL_ARCHIVE = str(archive)
    add_customers(3)
    run = control.start(PERIOD, feeder)
    with dying_at(monkeypatch, "send", 2):
        chunks.make_chunk(run.chunks.get(), lambda _done, _size: None)
    sending = CustomerReport.objects.get(state=State.SENDING)
    if accepted:
        text = f"Message-ID: {chunks.message_id(sending)}\n\nHello"
        (archive / "new" / "1").write_text(text)
    (archive / "new" / "2").write_text("Message-ID: <another@localhost>\n\nHello")
    tasks.run()
    assert set(states().values()) == {State.SENT}
    assert len(mailed()) == (2 if accepted else 3)


def test_a_chunk_that_is_repeated_counts_once(tasks: CapturedTasks) -> None:
    add_customers(3)
    run = send_all(tasks)
    send_chunk.enqueue(run.chunks.get().pk)
    tasks.run()
    run.refresh_from_db()
    assert (run.state, run.done, len(mailed())) == ("finished", 3, 3)


def test_one_customer_only(tasks: CapturedTasks) -> None:
    customers = add_customers(4)
    control.start_customer(PERIOD, customers[2], feeder)
    tasks.run()
    assert mailed() == [customers[2].email]
    assert ReportRun.objects.get().state == ReportRun.State.NEW
    control.start_customer(PERIOD, customers[2], feeder)
    run = send_all(tasks)
    assert (run.total, run.done) == (4, 4)
    assert len(set(mailed())) == len(mailed()) == 4


def test_a_period_that_is_not_over_is_refused() -> None:
    this = Period.month_of(datetime.now(UTC).date())
    with pytest.raises(control.PeriodRefused, match="is not over"):
        control.start(this, feeder)
    assert ReportRun.objects.count() == 0


def test_a_period_that_nobody_remembers_is_refused(settings: Settings) -> None:
    settings.KEEP_REPORTS_DAYS = 62
    long_ago = Period.month_of((datetime.now(UTC) - timedelta(days=200)).date())
    with pytest.raises(control.PeriodRefused, match="too long ago"):
        control.start(long_ago, feeder)


def test_without_any_orders_a_run_is_finished_at_once(tasks: CapturedTasks) -> None:
    run = send_all(tasks)
    assert (run.state, run.total) == ("finished", 0)


def test_a_customer_who_orders_much_has_a_chunk_of_its_own(
    tasks: CapturedTasks, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reports.document.rows.ORDERS_AT_ONCE", 5)
    settings.REPORT_CHUNK = 10
    customers = add_customers(3)
    for day in range(1, 9):
        add_order(customers[1], "ribs", day=day)
    run = send_all(tasks)
    assert list(run.chunks.order_by("pk").values_list("size", flat=True)) == [1, 1, 1]
    assert CustomerReport.objects.get(customer=customers[1]).orders == 9


def test_files_are_in_the_storage_of_reports(tasks: CapturedTasks) -> None:
    add_customers(1)
    send_all(tasks)
    report = CustomerReport.objects.get()
    assert report.file.name == f"2026-10/{report.pk // 1000:04}/{report.pk}.pdf"
    assert storages["reports"].exists(report.file.name)
