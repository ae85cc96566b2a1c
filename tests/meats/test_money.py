"""Money: the same words wherever an amount stands."""

from decimal import Decimal

import pytest
from django.template import Context, Template
from django.template.loader import render_to_string
from django.test import Client
from pytest_django import Settings

from meats import messages
from meats.models import Customer, Order, OrderItem
from meats.money import money
from reports.document.builder import Totals
from reports.runs.overview import described


@pytest.mark.parametrize(
    ("currency", "amount", "said"),
    [
        ("$", "1234.5", "$1,234.50"),
        ("€", "0", "€0.00"),
        ("EUR", "17", "EUR\N{NO-BREAK SPACE}17.00"),
        ("Fr.", "8.5", "Fr.\N{NO-BREAK SPACE}8.50"),
        ("US$", "8.5", "US$8.50"),
        ("$", "-5", "-$5.00"),
        ("$", "-0.001", "$0.00"),
    ],
)
def test_an_amount_has_its_currency(
    currency: str, amount: str, said: str, settings: Settings
) -> None:
    settings.CURRENCY = currency
    assert money(Decimal(amount)) == said
    assert (
        Template("{% load money %}{{ it|money }}").render(Context({"it": Decimal(amount)})) == said
    )


def test_whole_amounts_stand_at_charts() -> None:
    assert money(Decimal("1999.50"), places=0) == "$2,000"


@pytest.fixture
def order(db: None, settings: Settings) -> Order:
    settings.CURRENCY = "EUR"
    customer = Customer.objects.create(name="Ada Ash", email="ada@example.com")
    order = Order.objects.create(customer=customer, flavor="salt", price=Decimal("31.50"))
    for meat, price in (("ribs", "14.50"), ("brisket", "17.00")):
        OrderItem.objects.create(order=order, meat=meat, price=Decimal(price))
    return order


WANTED = ["EUR\N{NO-BREAK SPACE}14.50", "EUR\N{NO-BREAK SPACE}17.00", "EUR\N{NO-BREAK SPACE}31.50"]


def test_each_place_names_the_currency(order: Order, client: Client, admin_client: Client) -> None:
    mail = messages.confirmation(order, "id")
    (html, _) = mail.alternatives[0]
    texts = {
        "page": client.get(order.get_absolute_url()).content.decode(),
        "mail": mail.body,
        "mail as HTML": str(html),
        "receipt": render_to_string("meats/receipt.txt", {"order": order}),
    }
    for place, text in texts.items():
        for amount in WANTED:
            assert amount in text, place
    assert WANTED[2] in admin_client.get("/admin/meats/order/").content.decode()


def test_the_reports_say_it_alike(settings: Settings) -> None:
    settings.CURRENCY = "EUR"
    assert described(Totals(3, 4, Decimal("31.50"))) == f"3 orders, 4 items and {WANTED[2]}"
