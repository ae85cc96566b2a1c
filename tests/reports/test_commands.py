"""manage.py send_reports, and the weekly digest."""

import io
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.core.management import CommandError, call_command
from django.utils import timezone

from hybrid_tasks.testing import CapturedTasks, capture_tasks
from meats.models import Order
from reports.models import CustomerReport, ReportRun
from reports.periods import Period
from reports.tasks import send_customer_reports, send_staff_digest
from tests.reports.orders import PERIOD, add_customer, add_customers, add_order

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def tasks() -> Iterator[CapturedTasks]:
    with capture_tasks() as captured:
        yield captured


def send_reports(*arguments: str) -> str:
    output = io.StringIO()
    call_command("send_reports", *arguments, stdout=output)
    return output.getvalue()


def test_a_dry_run_counts_and_changes_nothing(tasks: CapturedTasks) -> None:
    add_customers(3)
    gone = add_customer("Gone", unsubscribed_at=timezone.now())
    add_order(gone, "ribs")
    told = send_reports("--period", "2026-10", "--dry-run")
    assert "4 customers with 4 orders, 7 items and $70.00" in told
    assert "0 have a report; 3 would get a mail" in told
    assert (ReportRun.objects.count(), tasks.enqueued) == (0, [])


def test_it_starts_the_run(tasks: CapturedTasks) -> None:
    add_customers(2)
    assert "are being made" in send_reports("--period", "2026-10", "--no-wait")
    tasks.run()
    assert len(mail.outbox) == 2
    assert "2 have a report; 0 would" in send_reports("--period", "2026-10", "--dry-run")


def test_it_makes_one_customers_report(tasks: CapturedTasks) -> None:
    first, _ = add_customers(2)
    told = send_reports("--period", "2026-10", "--customer", first.email.upper(), "--no-wait")
    assert f"{first}: To be made." in told
    tasks.run()
    assert [message.to for message in mail.outbox] == [[first.email]]
    told = send_reports("--period", "2026-10", "--customer", first.email)
    assert f"{first}: Mailed." in told
    assert CustomerReport.objects.count() == 1


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--period", "soon"], "is no period"),
        (["--period", "2999-01"], "is not over"),
        (["--customer", "nobody@shop.example"], "no customer with the address"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(arguments: list[str], complaint: str) -> None:
    with pytest.raises(CommandError, match=complaint):
        send_reports(*arguments)


def test_a_customer_without_orders_is_refused() -> None:
    ada = add_customer("Ada")
    with pytest.raises(CommandError, match="ordered nothing in October 2026"):
        send_reports("--period", "2026-10", "--customer", ada.email)


def test_the_scheduled_task_takes_the_last_month(tasks: CapturedTasks) -> None:
    last = Period.last_closed(datetime.now(UTC))
    add_order(add_customer("Ada"), "ribs", period=last)
    send_customer_reports.enqueue()
    tasks.run()
    assert ReportRun.objects.get().period == str(last)
    assert len(mail.outbox) == 1


def test_the_digest_tells_the_staff_of_the_week(tasks: CapturedTasks) -> None:
    User.objects.create_user("staff", "staff@shop.example", is_staff=True)
    User.objects.create_user("silent", "", is_staff=True)
    User.objects.create_user("customer", "customer@shop.example")
    order = add_order(add_customer("Ada"), "ribs", "tofu", period=PERIOD)
    Order.objects.filter(pk=order.pk).update(created_at=timezone.now())
    send_staff_digest.enqueue()
    tasks.run()
    (message,) = mail.outbox
    assert message.to == ["staff@shop.example"]
    assert "1 orders (0)" in message.body
    assert "$20.00 of revenue" in message.body
    assert "1 new customers" in message.body


def test_without_staff_the_digest_goes_to_nobody(tasks: CapturedTasks) -> None:
    send_staff_digest.enqueue()
    assert tasks.run()[0].return_value == 0
    assert mail.outbox == []
