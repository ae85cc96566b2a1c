"""The staff's pages, and the customer's link."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import Permission, User
from django.core.cache import caches
from django.core.files.storage import storages
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pypdf import PdfReader
from pytest_django import DjangoAssertNumQueries

from hybrid_tasks.testing import CapturedTasks, capture_tasks
from meats.models import Order
from reports.document.charts import monthly_charts
from reports.models import Cleanup, CustomerReport, ReportRun
from reports.periods import Period
from reports.runs import control
from reports.runs.mailer import link_signer
from reports.runs.progress import Progress, in_words
from reports.tasks import feeder
from tests.reports.orders import PERIOD, add_customer, add_customers, add_order

pytestmark = pytest.mark.django_db(transaction=True)

State = CustomerReport.State
INDEX = "/reports/"


@pytest.fixture
def tasks() -> Iterator[CapturedTasks]:
    with capture_tasks() as captured:
        yield captured


@pytest.fixture
def staff(client: Client) -> Client:
    """A client who is logged in as staff that may see and change runs."""
    user = User.objects.create_user("staff", "staff@shop.example", is_staff=True)
    names = ("view_reportrun", "change_reportrun")
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    client.force_login(user)
    return client


@pytest.fixture
def run(tasks: CapturedTasks) -> ReportRun:
    """A finished run of three customers, the first of whom has failed."""
    shutil.rmtree(storages["reports"].path(""), ignore_errors=True)
    customers = add_customers(3)
    Order.objects.filter(customer=customers[0]).update(price=1)
    run = control.start(PERIOD, feeder)
    tasks.run()
    run.refresh_from_db()
    return run


def text_of(response: Any) -> str:
    return PdfReader(BytesIO(response.content)).pages[0].extract_text()


@pytest.fixture(autouse=True)
def _nothing_remembered() -> None:
    caches["local"].clear()


PAGES = [
    INDEX,
    "/reports/runs/2026-10/",
    "/reports/runs/2026-10/progress/",
    "/reports/runs/2026-10/summary.pdf",
    "/reports/customers/1/",
    "/reports/reports/1.pdf",
    "/reports/cleanups/",
]
ACTIONS = [
    "/reports/start/",
    "/reports/runs/2026-10/retry/",
    "/reports/reports/1/settle/",
    "/reports/cleanups/start/",
]


@pytest.mark.parametrize("path", PAGES)
def test_a_visitor_is_sent_to_the_login(client: Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 302
    assert response["Location"].startswith("/admin/login/")


@pytest.mark.parametrize("path", PAGES)
def test_staff_without_the_permission_sees_nothing(client: Client, path: str) -> None:
    client.force_login(User.objects.create_user("other", is_staff=True))
    assert client.get(path).status_code == 403


@pytest.mark.parametrize("path", ACTIONS)
def test_who_may_only_look_changes_nothing(client: Client, path: str) -> None:
    user = User.objects.create_user("looker", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_reportrun"))
    client.force_login(user)
    assert client.post(path).status_code == 403
    assert client.get(path).status_code == 405


@pytest.mark.parametrize("path", ACTIONS)
def test_actions_need_the_token(path: str) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("root"))
    assert client.post(path).status_code == 403


def test_starting_a_run(staff: Client, tasks: CapturedTasks) -> None:
    add_customers(2)
    response = staff.post("/reports/start/", {"period": "2026-10"})
    assert response["Location"] == "/reports/runs/2026-10/"
    page = staff.get(response["Location"]).text
    assert "Running" in page
    assert "0 of 2 customers" in page
    assert "reports/live.js" in page
    tasks.run()
    assert "Finished" in staff.get(response["Location"]).text


@pytest.mark.parametrize(
    ("period", "complaint"),
    [
        ("", "This field is required"),
        ("soon", "is no period"),
        ("this month", "is not over"),
        ("2999-01", "is not over"),
        ("2001-01", "is too long ago"),
    ],
)
def test_a_period_that_cannot_be_is_refused(staff: Client, period: str, complaint: str) -> None:
    if period == "this month":  # known when the test runs: another may be when it is collected
        period = str(Period.month_of(datetime.now(UTC).date()))
    response = staff.post("/reports/start/", {"period": period})
    assert response.status_code == 400
    assert complaint in response.text
    assert ReportRun.objects.count() == 0


def test_repeating_a_run_asks_first(staff: Client, run: ReportRun) -> None:
    response = staff.post("/reports/start/", {"period": "2026-10"})
    assert "There is a run of October 2026 already: 2 done, 1 failed." in response.text
    assert ReportRun.objects.get().state == "finished"
    response = staff.post("/reports/start/", {"period": "2026-10", "confirmed": "True"})
    assert response.status_code == 302
    assert ReportRun.objects.get().state == "finishing"  # for there is nothing left to make


def test_failures_are_listed_and_retried(
    staff: Client, run: ReportRun, tasks: CapturedTasks
) -> None:
    page = staff.get("/reports/runs/2026-10/").text
    assert "customer.0@shop.example" in page
    assert "costs 1.00, but its 2 items add up to 20.00" in page
    Order.objects.update(price=20)
    staff.post("/reports/runs/2026-10/retry/")
    tasks.run()
    page = staff.get("/reports/runs/2026-10/").text
    assert "What needs a look" not in page
    assert "Retry failed" not in page


@pytest.mark.parametrize(("answer", "state"), [("yes", State.SENT), ("no", State.PENDING)])
def test_a_mail_that_perhaps_arrived_is_decided_on(
    staff: Client, run: ReportRun, answer: str, state: str
) -> None:
    report = CustomerReport.objects.filter(state=State.SENT).first()
    assert report
    CustomerReport.objects.filter(pk=report.pk).update(state=State.UNKNOWN)
    ReportRun.objects.update(done=1, failed=2)
    assert "It arrived" in staff.get("/reports/runs/2026-10/").text
    staff.post(f"/reports/reports/{report.pk}/settle/", {"arrived": answer})
    report.refresh_from_db()
    assert report.state == state


def test_reports_are_found_by_address(staff: Client, run: ReportRun) -> None:
    page = staff.get("/reports/runs/2026-10/", {"q": "MER.1@"}).text
    assert page.count("customer.1@shop.example") == 1
    assert "customer.2@shop.example" not in page


def test_names_are_escaped(staff: Client, tasks: CapturedTasks) -> None:
    evil = add_customer("<script>alert(1)</script>", email="evil@shop.example")
    add_order(evil, "ribs")
    control.start(PERIOD, feeder)
    tasks.run()
    page = staff.get(reverse("reports:customer", args=[evil.pk])).text
    assert "&lt;script&gt;" in page
    assert "<script>alert" not in page


def test_a_customers_page_shows_the_pdf(staff: Client, run: ReportRun) -> None:
    report = CustomerReport.objects.select_related("customer").get(customer__name="Customer 1")
    page = staff.get(reverse("reports:customer", args=[report.customer_id])).text
    assert f'<iframe class="pdf" src="/reports/reports/{report.pk}.pdf"' in page
    response = staff.get(f"/reports/reports/{report.pk}.pdf")
    assert response["Content-Type"] == "application/pdf"
    assert response["X-Frame-Options"] == "SAMEORIGIN"
    assert "frame-ancestors 'self'" in response["Content-Security-Policy"]
    assert "no-store" in response["Cache-Control"]
    assert "Customer 1" in text_of(response)


def test_what_failed_has_no_pdf(staff: Client, run: ReportRun) -> None:
    report = CustomerReport.objects.get(state=State.FAILED)
    assert staff.get(f"/reports/reports/{report.pk}.pdf").status_code == 404
    assert "<iframe" not in staff.get(f"/reports/customers/{report.customer_id}/").text


def test_the_summary_can_be_opened(staff: Client, run: ReportRun) -> None:
    assert "all customers" in text_of(staff.get("/reports/runs/2026-10/summary.pdf"))


def test_the_link_in_the_mail_opens_the_own_report_until_it_expires(
    client: Client, run: ReportRun
) -> None:
    report = CustomerReport.objects.get(customer__name="Customer 2")
    path = reverse("reports:own", args=[link_signer.sign(str(report.pk))])
    response = client.get(path)
    assert "Customer 2" in text_of(response)
    assert "no-store" in response["Cache-Control"]
    with time_machine.travel(datetime.now(UTC) + timedelta(days=61)):
        expired = client.get(path)
    assert expired.status_code == 410
    assert "This link has expired" in expired.text


def test_a_forged_link_opens_nothing(client: Client, run: ReportRun) -> None:
    first, second = CustomerReport.objects.order_by("pk")[1:3]
    signed = link_signer.sign(str(first.pk))
    forged = signed.replace(f"{first.pk}:", f"{second.pk}:", 1)
    assert client.get(reverse("reports:own", args=[forged])).status_code == 404
    assert client.get("/reports/own/1/").status_code == 404


def test_cleanups_are_shown_and_begun(staff: Client, tasks: CapturedTasks, tmp_path: Path) -> None:
    Cleanup.objects.create(removed={"expired_sessions": 12, "errors": ["old_runs: no"]})
    page = staff.get("/reports/cleanups/").text
    assert "expired sessions" in page
    assert "old_runs: no" in page
    staff.post("/reports/cleanups/start/", {"dry_run": "yes"})
    tasks.run()
    assert Cleanup.objects.filter(dry_run=True, finished__isnull=False).count() == 1


def test_pages_of_what_is_not_there(staff: Client) -> None:
    assert staff.get("/reports/runs/2026-10/").status_code == 404
    assert staff.get("/reports/customers/1/").status_code == 404
    assert staff.get("/reports/reports/1.pdf").status_code == 404


@pytest.mark.parametrize("state", ["finished", "running"])
def test_the_index_asks_as_much_for_many_runs_as_for_one(
    staff: Client, state: str, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    def add_run(number: int) -> None:
        run = ReportRun.objects.create(period=f"{2020 + number}", state=state, total=100, done=20)
        run.chunks.create(size=10, done=5 + number)

    add_run(0)
    with CaptureQueriesContext(connection) as first:
        staff.get(INDEX)
    with CaptureQueriesContext(connection) as one:
        page = staff.get(INDEX).text
    assert "25 of 100 customers" in page
    for number in range(1, 24):
        add_run(number)
    with django_assert_num_queries(len(one)):
        page = staff.get(INDEX).text
    assert "48 of 100 customers" in page
    # Who is asking, the runs, their chunks and the last cleanup; a year is not added up again.
    assert len(one) <= 7
    assert len(first) == len(one) + 2


def test_a_pdf_goes_out_in_one_piece(client: Client, run: ReportRun) -> None:
    """In pieces, Django would warn of its iterator and take a thread for each of them."""
    report = CustomerReport.objects.get(customer__name="Customer 1")
    response = client.get(reverse("reports:own", args=[link_signer.sign(str(report.pk))]))
    assert not response.streaming
    assert response["Content-Length"] == str(len(response.content))
    assert response["Content-Disposition"] == 'inline; filename="smokehouse-2026-10.pdf"'
    assert response.content.startswith(b"%PDF")


def test_the_charts_add_up_the_months() -> None:
    ada = add_customer("Ada")
    add_order(ada, "ribs", "tofu")
    add_order(ada, "ribs")
    add_order(ada, "ribs", period=PERIOD.previous)
    revenue, orders = monthly_charts(datetime(2026, 11, 22, tzinfo=UTC))
    assert [(bar.name, bar.words) for bar in revenue.bars][-3:] == [
        ("September 2026", "$10.00"),
        ("October 2026", "$30.00"),
        ("November 2026", "$0.00"),
    ]
    assert [bar.words for bar in orders.bars][-3:] == ["1", "2", "0"]
    assert len(revenue.bars) == 12
    september, october = revenue.bars[-3:-1]
    assert october.height == pytest.approx(3 * september.height, rel=0.01)


def test_progress_knows_the_rate_and_the_time_left() -> None:
    now = datetime.now(UTC)
    run = ReportRun.objects.create(
        period="2026-10", state="running", total=100, done=50, failed=2, done_before=12
    )
    run.chunks.create(size=10, done=8)
    with time_machine.travel(now, tick=False):
        run.resumed = now - timedelta(seconds=10)
        progress = Progress.of(run)
    assert (progress.done, progress.finished, progress.rate) == (58, 60, 4.8)
    assert progress.words == "60 of 100 customers, 4.8 a second, about 8 s left"
    assert in_words(timedelta(minutes=100)) == "1 h 40 min"
