"""A month can always be closed: refunds, prices that were changed, and reports made anew."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from io import BytesIO

import pytest
from django.contrib.auth.models import Permission, User
from django.core import mail
from django.test import Client
from pypdf import PdfReader

from hybrid_tasks.testing import CapturedTasks, capture_tasks
from meats.models import Adjustment, Order
from reports.document.builder import Totals
from reports.document.charts import monthly_charts
from reports.models import CustomerReport, ReportRun
from reports.periods import Period
from reports.runs import control
from reports.runs.mailer import message_id
from reports.runs.overview import reconcile
from reports.tasks import feeder
from tests.reports.orders import PERIOD, add_customer, add_customers, add_order

pytestmark = pytest.mark.django_db(transaction=True)

State = CustomerReport.State


@pytest.fixture
def tasks() -> Iterator[CapturedTasks]:
    with capture_tasks() as captured:
        yield captured


def send_all(tasks: CapturedTasks, period: Period = PERIOD) -> ReportRun:
    run = control.start(period, feeder)
    tasks.run()
    run.refresh_from_db()
    return run


def adjust(order: Order, amount: str, at: datetime) -> None:
    Adjustment.objects.create(
        order=order, amount=Decimal(amount), reason="It was burnt.", created_at=at
    )


def text_of(report: CustomerReport) -> str:
    with report.file.open() as file:
        return PdfReader(BytesIO(file.read())).pages[0].extract_text()


def test_a_refund_counts_in_the_month_in_which_it_is_made(tasks: CapturedTasks) -> None:
    ada, ben = add_customer("Ada"), add_customer("Ben")
    of_ada = add_order(ada, "ribs", "tofu", period=PERIOD.previous)
    add_order(ben, "ribs", period=PERIOD.previous)
    add_order(ben, "ribs")
    assert send_all(tasks, PERIOD.previous).error == ""
    adjust(of_ada, "-4.00", PERIOD.begins)
    adjust(of_ada, "-1.00", PERIOD.ends - timedelta(microseconds=1))
    adjust(of_ada, "-2.00", PERIOD.ends)
    again = send_all(tasks, PERIOD.previous)
    assert (again.state, again.error, again.done) == ("finished", "", 2)

    run = send_all(tasks)
    assert (run.state, run.error, run.total, run.done) == ("finished", "", 2, 2)
    assert reconcile(PERIOD) == Totals(1, 1, Decimal("10.00"), Decimal("-5.00"))
    report = CustomerReport.objects.get(customer=ada, period=str(PERIOD))
    assert (report.orders, report.total, report.adjusted) == (0, Decimal(0), Decimal("-5.00"))
    text = text_of(report)
    assert f"refund for order {of_ada.number}, -$4.00. It was burnt." in text
    assert "With refunds and corrections of -$5.00: -$5.00." in text
    (message,) = [one for one in mail.outbox if one.to == [ada.email] and "October" in one.subject]
    assert "refunds and corrections of -$5.00" in message.body
    revenue, _ = monthly_charts(PERIOD.ends)
    assert [bar.words for bar in revenue.bars[-3:]] == ["$30.00", "$5.00", "-$2.00"]


def test_more_refunds_than_a_page_has_lines_are_added_up(tasks: CapturedTasks) -> None:
    order = add_order(add_customer("Ada"), *(f"meat {number}" for number in range(20)))
    for day in range(20):
        adjust(order, "-1.00", PERIOD.begins + timedelta(days=day))
    send_all(tasks)
    text = text_of(CustomerReport.objects.get())
    assert "16 more: -$16.00." in text
    assert "With refunds and corrections of -$20.00: $180.00." in text


def test_a_changed_price_is_named_and_closes_the_month(
    tasks: CapturedTasks, client: Client
) -> None:
    """However the row was changed: a console, an import, a version before this one."""
    customers = add_customers(3)
    send_all(tasks)
    changed = customers[1].orders.get()
    changed.items.update(price=Decimal("9.00"))
    Order.objects.filter(pk=changed.pk).update(price=Decimal("18.00"))
    late = add_order(add_customer("Late"), "ribs")
    for _ in range(2):
        Order.objects.filter(pk=late.pk).update(created_at=PERIOD.begins)
        run = send_all(tasks)
        assert (run.state, run.done, run.failed) == ("finished", 4, 0)
        assert "come to 4 orders, 7 items and $70.00, the orders to" in run.error
        assert "They differ for customer.1@shop.example (1 orders, 2 items and $20.00" in run.error
        assert all(not result.errors for result in tasks.results)
    page = staff_page(client, f"/reports/runs/{PERIOD}/")
    assert "They differ for customer.1@shop.example" in page

    mailed = len(mail.outbox)
    report = CustomerReport.objects.get(customer=customers[1])
    assert control.remake(run, feeder, [report.pk], mail=False) == 1
    tasks.run()
    run.refresh_from_db()
    report.refresh_from_db()
    assert (run.state, run.error, run.done) == ("finished", "", 4)
    assert (report.state, report.total) == (State.KEPT, Decimal("18.00"))
    assert len(mail.outbox) == mailed


def staff_page(client: Client, path: str) -> str:
    user = User.objects.create_user("looker", is_staff=True)
    names = ("view_reportrun", "change_reportrun", "view_customerreport")
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    client.force_login(user)
    return client.get(path).text


def test_orders_that_are_gone_close_the_month(tasks: CapturedTasks) -> None:
    customers = add_customers(2)
    send_all(tasks)
    customers[0].orders.all().delete()
    run = send_all(tasks)
    assert (run.state, run.done) == ("finished", 2)
    assert "customer.0@shop.example (1 orders, 2 items and $20.00 reported, 0 orders" in run.error
    report = CustomerReport.objects.get(customer=customers[0])
    control.remake(run, feeder, [report.pk], mail=True)
    tasks.run()
    run.refresh_from_db()
    assert (run.state, run.error, run.done, run.failed) == ("finished", "", 1, 1)
    assert CustomerReport.objects.get(pk=report.pk).error == "There are no orders any more."


def test_an_order_that_nobody_reported_is_named(tasks: CapturedTasks) -> None:
    """One that appears after the run has walked past its customer."""
    customers = add_customers(2)
    late = customers[0].orders.get()
    Order.objects.filter(pk=late.pk).update(created_at=PERIOD.ends)
    run = send_all(tasks)
    Order.objects.filter(pk=late.pk).update(created_at=PERIOD.begins)
    control.remake(run, feeder, [CustomerReport.objects.get().pk], mail=False)
    tasks.run()
    run.refresh_from_db()
    assert "customer.0@shop.example (0 orders, 0 items and $0.00 reported, 1 orders" in run.error
    assert send_all(tasks).error == ""


def test_a_mail_made_anew_says_that_it_replaces_the_first(tasks: CapturedTasks) -> None:
    add_customers(2)
    run = send_all(tasks)
    report = CustomerReport.objects.order_by("pk").first()
    assert report
    first = message_id(report)
    assert control.remake(run, feeder, [report.pk], mail=True) == 1
    assert control.remake(run, feeder, [report.pk], mail=True) == 0  # it is under way
    tasks.run()
    report.refresh_from_db()
    run.refresh_from_db()
    assert (run.state, run.done, report.state, report.edition) == ("finished", 2, State.SENT, 2)
    old, new = [one for one in mail.outbox if one.to == [report.customer.email]]
    assert "takes the place" not in old.body
    assert "takes the place of the report of October 2026" in new.body
    assert old.extra_headers["Message-ID"] == first
    assert new.extra_headers["Message-ID"] == message_id(report) != first


def test_what_perhaps_arrived_is_decided_on_before_it_is_made_anew(tasks: CapturedTasks) -> None:
    add_customers(1)
    run = send_all(tasks)
    CustomerReport.objects.update(state=State.UNKNOWN)
    assert control.remake(run, feeder, [CustomerReport.objects.get().pk], mail=True) == 0


def test_buttons_and_actions_make_reports_anew(
    tasks: CapturedTasks, client: Client, admin_client: Client
) -> None:
    add_customers(3)
    send_all(tasks)
    first, *others = CustomerReport.objects.order_by("pk")
    page = staff_page(client, f"/reports/customers/{first.customer_id}/")
    assert f"/reports/reports/{first.pk}/remake/" in page
    mail.outbox.clear()
    client.post(f"/reports/reports/{first.pk}/remake/", {"mail": "no"})
    form = {"action": "remake_and_mail", "_selected_action": [report.pk for report in others]}
    response = admin_client.post("/admin/reports/customerreport/", form, follow=True)
    assert "2 reports are made anew." in response.text
    response = admin_client.post(
        "/admin/reports/customerreport/", form | {"action": "remake"}, follow=True
    )
    assert "2 are under way" in response.text
    tasks.run()
    assert sorted(one.to[0] for one in mail.outbox if "shop" in one.to[0]) == [
        report.customer.email for report in others
    ]
    assert set(CustomerReport.objects.values_list("edition", flat=True)) == {2}
    assert ReportRun.objects.get().done == 3


def test_who_may_only_look_makes_nothing_anew(tasks: CapturedTasks, client: Client) -> None:
    add_customers(1)
    send_all(tasks)
    user = User.objects.create_user("viewer", is_staff=True)
    names = ("view_reportrun", "view_customerreport")
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    client.force_login(user)
    report = CustomerReport.objects.get()
    assert client.post(f"/reports/reports/{report.pk}/remake/").status_code == 403
    assert "remake" not in client.get("/admin/reports/customerreport/").text
