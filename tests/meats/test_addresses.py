"""Email addresses: one way to write each, and a refusal of those that cannot be mailed."""

from importlib import import_module
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from django.apps import apps
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage
from django.db import connection
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from hybrid_tasks.testing import capture_tasks
from meats.addresses import normalise
from meats.models import Customer, Order
from tests.meats.smokehouse import Smokehouse

WAYS = {
    "ada@exämple.com": "ada@xn--exmple-cua.com",
    "ADA@EXÄMPLE.com": "ada@xn--exmple-cua.com",
    "ada@exa\u0308mple.com": "ada@xn--exmple-cua.com",
    "ada@xn--exmple-cua.com": "ada@xn--exmple-cua.com",
    " Ada@Example.COM ": "ada@example.com",
    "ada@faß.example": "ada@xn--fa-hia.example",
    "ada@例え.example": "ada@xn--r8jz45g.example",
    "ada@ab--cd.example": "ada@ab--cd.example",
    '"ada..ash"@example.com': '"ada..ash"@example.com',
    "ada@localhost": "ada@localhost",
}
REFUSED = {
    "\u017f@example.com": "Mail to \u017f@example.com cannot be sent: before the @ only",
    "İda@example.com": "Mail to İda@example.com cannot be sent: before the @ only",
    "ada@-ä.example": "Mail to ada@-ä.example cannot be sent: -ä.example is no name",
    "ada@[127.0.0.1]": "Mail to ada@[127.0.0.1] is not sent: after the @ a domain is needed",
    "ada": "Enter a valid email address.",
    "@example.com": "Enter a valid email address.",
    "ada@": "Enter a valid email address.",
    "ada@@example.com": "Enter a valid email address.",
    "a\nb@example.com": "Enter a valid email address.",
    '"\x01"@example.com': "Enter a valid email address.",
    f"{'a' * 250}@example.com": "has 262 characters: an email address has at most 254.",
}


@pytest.mark.parametrize(("typed", "stored"), WAYS.items())
def test_an_address_is_written_in_one_way(typed: str, stored: str) -> None:
    assert normalise(typed) == stored


@pytest.mark.parametrize(("typed", "complaint"), REFUSED.items())
def test_what_cannot_be_mailed_is_refused_with_a_reason(typed: str, complaint: str) -> None:
    with pytest.raises(ValidationError) as refused:
        normalise(typed)
    assert complaint in refused.value.messages[0]


# Each piece is likely to be in an address, or to have been in a bug.
pieces = st.sampled_from([*'aAäÄ@.-_+"[]\n İ\u017fßΣς\u0308\u200d', "@example.com", "xn--", "💌"])
typed_addresses = st.one_of(st.text(max_size=300), st.lists(pieces, max_size=20).map("".join))


@given(typed_addresses)
def test_what_is_accepted_can_be_mailed_and_is_settled(typed: str) -> None:
    try:
        address = normalise(typed)
    except ValidationError:
        return
    assert address.isascii()
    assert address == address.lower() == normalise(address)
    assert len(address) <= 254
    EmailMessage("Hello", to=[address]).message()


def order_form(email: str) -> dict[str, Any]:
    return {"token": str(uuid4()), "meats": ["ribs"], "name": "Ada", "email": email}


@pytest.mark.django_db
@pytest.mark.parametrize("email", [*REFUSED, "a" * 290 + "@example.com"])
def test_the_forms_refuse_what_cannot_be_mailed(email: str, client: Client) -> None:
    assert client.post("/orders/", order_form(email)).status_code == 400
    form = {"subscribe-name": "Ada", "subscribe-email": email}
    assert client.post("/subscribe/", form).status_code == 400
    assert not Customer.objects.exists()


@pytest.mark.django_db
def test_a_customer_is_found_however_the_address_is_written(client: Client) -> None:
    with capture_tasks():
        for email in ("ada@EXÄMPLE.com", "Ada@exämple.com", "ada@xn--exmple-cua.com"):
            assert client.post("/orders/", order_form(email)).status_code == 302
    assert Order.objects.count() == 3
    assert Customer.objects.get().email == "ada@xn--exmple-cua.com"


@pytest.mark.django_db
def test_the_admin_stores_addresses_in_the_same_way(admin_client: Client) -> None:
    form = {"name": "Ada", "email": "Ada@EXÄMPLE.com"}
    assert admin_client.post("/admin/meats/customer/add/", form).status_code == 302
    assert Customer.objects.get().email == "ada@xn--exmple-cua.com"
    again = admin_client.post("/admin/meats/customer/add/", form | {"email": "\u017f@example.com"})
    assert "Mail to \u017f@example.com cannot be sent" in again.content.decode()


@pytest.mark.django_db
def test_addresses_that_are_there_are_rewritten_unless_that_would_make_two_one() -> None:
    for email in (
        "Ada@Example.com",
        "bo@EXÄMPLE.com",
        "bo@xn--exmple-cua.com",
        "\u017f@example.com",
    ):
        Customer.objects.create(email=email)
    migration = import_module("meats.migrations.0003_normalise_addresses")
    migration.normalise_all(apps, SimpleNamespace(connection=connection))
    assert sorted(Customer.objects.values_list("email", flat=True)) == [
        "ada@example.com",
        "bo@EXÄMPLE.com",
        "bo@xn--exmple-cua.com",
        "\u017f@example.com",
    ]


def test_a_second_order_from_an_accented_domain_is_no_error(on_each_database: Smokehouse) -> None:
    on_each_database.start_web()
    visitor = on_each_database.visitor()
    on_each_database.parts.callback(visitor.http.close)
    for email in ("ada@EXÄMPLE.com", "ADA@exämple.com"):
        visitor.order(email=email)
    for email in ("İda@example.com", "a" * 290 + "@example.com"):
        wrong = {"meats": "ribs", "name": "Ida", "email": email}
        assert visitor.send("/orders/", **visitor.fresh_form(), **wrong).status_code == 400
