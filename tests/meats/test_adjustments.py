"""Refunds and corrections in the admin: rows of their own, and never more than was paid."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from threading import Barrier
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.utils.html import strip_tags
from pytest_django import Settings

from meats.adjusting import paid_for, signed_amount
from meats.models import Adjustment, Order
from tests.reports.orders import add_customer, add_order

pytestmark = pytest.mark.django_db

ADD = "/admin/meats/adjustment/add/"


@pytest.fixture
def order() -> Order:
    return add_order(add_customer("Ada"), "ribs", "tofu")  # 20.00


def adjust(client: Client, order: Order, amount: str, kind: str = "refund") -> Any:
    form = {"order": order.pk, "kind": kind, "amount": amount, "reason": "Burnt."}
    return client.post(ADD, form)


def amounts() -> list[Decimal]:
    return list(Adjustment.objects.order_by("pk").values_list("amount", flat=True))


def test_a_refund_is_a_row_that_says_who_made_it(admin_client: Client, order: Order) -> None:
    assert adjust(admin_client, order, "5.00").status_code == 302
    refund = Adjustment.objects.get()
    assert (refund.amount, refund.reason) == (Decimal("-5.00"), "Burnt.")
    assert refund.made_by == User.objects.get(username="admin")
    order.refresh_from_db()
    assert (order.price, paid_for(order)) == (Decimal("20.00"), Decimal("15.00"))


def test_a_correction_has_its_sign(admin_client: Client, order: Order) -> None:
    adjust(admin_client, order, "3.00", "correction")
    adjust(admin_client, order, "-1.50", "correction")
    assert amounts() == [Decimal("3.00"), Decimal("-1.50")]


@pytest.mark.parametrize(
    ("kind", "amount", "complaint"),
    [
        ("refund", "20.01", "20.01 is more than was paid for Order"),
        ("correction", "-20.01", "at most 20.00 can be given back"),
        ("refund", "0", "above zero"),
        ("refund", "-5", "above zero"),
        ("correction", "0.00", "above or below"),
        ("refund", "NaN", "Enter a number"),
        ("refund", "1e999", "Ensure that there are no more than"),
        ("refund", "0.001", "Ensure that there are no more than 2 decimal places"),
    ],
)
def test_what_cannot_be_is_said_beside_the_form(
    admin_client: Client, order: Order, kind: str, amount: str, complaint: str
) -> None:
    response = adjust(admin_client, order, amount, kind)
    assert response.status_code == 200
    assert complaint in response.text
    assert amounts() == []


def test_refunds_together_are_never_more_than_was_paid(admin_client: Client, order: Order) -> None:
    adjust(admin_client, order, "15.00")
    assert "at most 5.00 can be given back" in adjust(admin_client, order, "5.01").text
    adjust(admin_client, order, "5.00")
    assert paid_for(order) == 0
    with pytest.raises(ValidationError):
        signed_amount(order, "refund", Decimal("0.01"))


@pytest.mark.django_db(transaction=True)
def test_two_refunds_at_once_are_not_more_than_was_paid_either(order: Order) -> None:
    together = Barrier(2)

    def refund() -> bool:
        try:
            together.wait()
            with transaction.atomic():
                amount = signed_amount(order, "refund", Decimal("15.00"))
                order.adjustments.create(amount=amount, reason="Burnt.")
        except ValidationError:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor() as pool:
        done = [pool.submit(refund) for _ in range(2)]
    assert sorted(one.result() for one in done) == [False, True]
    assert paid_for(order) == Decimal("5.00")


def test_nothing_is_no_adjustment_for_the_database_either(order: Order) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        order.adjustments.create(amount=0, reason="Nothing")


def test_the_action_leads_to_the_form(admin_client: Client, order: Order) -> None:
    other = add_order(order.customer, "ribs")
    form: dict[str, Any] = {"action": "refund_or_correct", "_selected_action": [order.pk]}
    response = admin_client.post("/admin/meats/order/", form)
    assert response["Location"] == f"{ADD}?order={order.pk}"
    assert order.number in admin_client.get(response["Location"]).text
    form["_selected_action"].append(other.pk)
    response = admin_client.post("/admin/meats/order/", form, follow=True)
    assert "2 orders are selected" in response.text


def test_the_action_is_for_those_who_may_adjust(client: Client, order: Order) -> None:
    user = User.objects.create_user("staff", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="change_order"))
    client.force_login(user)
    assert "refund_or_correct" not in client.get("/admin/meats/order/").text
    assert adjust(client, order, "5.00").status_code == 403


def test_money_is_not_edited(admin_client: Client, order: Order) -> None:
    """Neither the order's nor its items', whatever a form says."""
    order.adjustments.create(amount=-1, reason="Late.")
    path = f"/admin/meats/order/{order.pk}/change/"
    page = admin_client.get(path).text
    assert "Late." in page
    assert 'name="price"' not in page
    assert "items-0-price" not in page
    item = order.items.first()
    assert item
    form = {
        "customer": order.customer_id,
        "flavor": "Plum",
        "state": "received",
        "price": "1.00",
        "items-TOTAL_FORMS": 2,
        "items-INITIAL_FORMS": 1,
        "items-0-id": item.pk,
        "items-0-meat": "other ribs",
        "items-0-price": "1.00",
        "items-0-DELETE": "on",
        "items-1-meat": "free ribs",
        "items-1-price": "0.00",
        "adjustments-TOTAL_FORMS": 0,
        "adjustments-INITIAL_FORMS": 0,
    }
    assert admin_client.post(path, form).status_code == 302
    order.refresh_from_db()
    assert (order.flavor, order.price) == ("Plum", Decimal("20.00"))
    items = [(item.meat, item.price) for item in order.items.all()]
    assert items == [("ribs", Decimal("10.00")), ("tofu", Decimal("10.00"))]


def test_an_adjustment_stays_as_it_was_made(admin_client: Client, order: Order) -> None:
    adjust(admin_client, order, "5.00")
    pk = Adjustment.objects.get().pk
    path = f"/admin/meats/adjustment/{pk}"
    assert admin_client.post(f"{path}/change/", {"amount": "1"}).status_code == 403
    assert admin_client.post(f"{path}/delete/", {"post": "yes"}).status_code == 403
    assert "Burnt." in admin_client.get("/admin/meats/adjustment/").text


def shown(client: Client, order: Order) -> str:
    """Return the part of an order's page with its sums, in one line."""
    page = client.get(order.get_absolute_url()).text
    sums = page.partition('class="total"')[2].partition('id="note"')[0]
    return " ".join(strip_tags(f"<p {sums}>").split())


def test_the_customer_sees_what_was_given_back_and_what_is_left(
    client: Client, order: Order, settings: Settings
) -> None:
    settings.CURRENCY = "EUR"
    assert shown(client, order) == "Together EUR 20.00"
    for day, (kind, amount, reason) in enumerate(
        [("refund", "-5.00", "<b>Burnt</b>"), ("correction", "1.50", "A side dish.")], start=8
    ):
        order.adjustments.create(
            kind=kind,
            amount=Decimal(amount),
            reason=reason,
            created_at=datetime(2026, 11, day, 12, tzinfo=UTC),
        )
    assert shown(client, order) == (
        "Together EUR 20.00"
        " Refund, 8 November 2026 -EUR 5.00 &lt;b&gt;Burnt&lt;/b&gt;"
        " Correction, 9 November 2026 EUR 1.50 A side dish."
        " Total now EUR 16.50"
    )


def test_who_made_an_adjustment_is_nobody_elses_business(client: Client, order: Order) -> None:
    maker = User.objects.create_user("gus.the.manager", is_staff=True)
    order.adjustments.create(amount=-20, reason="Burnt.", made_by=maker)
    assert shown(client, order).endswith("Total now $0.00")
    assert maker.username not in client.get(order.get_absolute_url()).text


def test_adjustments_cost_the_page_one_query(
    client: Client, order: Order, django_assert_num_queries: Any
) -> None:
    for cent in range(1, 6):
        order.adjustments.create(amount=Decimal(-cent) / 100, reason="Late.")
    with django_assert_num_queries(3):  # the order, its items, its adjustments
        client.get(order.get_absolute_url())
