"""Customers and orders in the admin."""

import pytest
from django.core.management import call_command
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from meats.models import Customer, Order

pytestmark = pytest.mark.django_db


@pytest.fixture
def seeded() -> Order:
    call_command("seed_demo", "--customers=5", "--orders=30", verbosity=0)
    order = Order.objects.first()
    assert order is not None
    return order


def test_orders_are_listed_with_few_queries(
    seeded: Order, admin_client: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_max_num_queries(10):
        page = admin_client.get("/admin/meats/order/").content.decode()
    assert seeded.number in page
    assert str(seeded.items.first()) in page


def test_an_order_is_found_and_shown(seeded: Order, admin_client: Client) -> None:
    found = admin_client.get("/admin/meats/order/", {"q": seeded.customer.email}).content.decode()
    assert seeded.number in found
    page = admin_client.get(f"/admin/meats/order/{seeded.pk}/change/").content.decode()
    assert str(seeded.uuid) in page
    assert admin_client.get("/admin/meats/order/add/").status_code == 403


def test_customers_are_searched_and_kept_apart(seeded: Order, admin_client: Client) -> None:
    page = admin_client.get("/admin/meats/customer/", {"q": seeded.customer.email.upper()})
    assert seeded.customer.email in page.content.decode()
    form = {"name": "Copy", "email": seeded.customer.email.upper()}
    again = admin_client.post("/admin/meats/customer/add/", form)
    assert "There is a customer with this email address already." in again.content.decode()
    assert Customer.objects.count() == 5
