"""What the reports are built of, as it comes from the database."""

from uuid import UUID

import pytest

from reports.document.builder import build
from reports.document.rows import buyers
from tests.reports.orders import PERIOD, add_customer, add_order

pytestmark = pytest.mark.django_db


def test_orders_whose_numbers_look_alike_are_two() -> None:
    customer = add_customer("Ada")
    for last in (1, 2):
        order = add_order(customer, "ribs")
        order.uuid = UUID(f"12345678-0000-4000-8000-00000000000{last}")
        order.save()
    (buyer,) = buyers(PERIOD, [customer.pk])
    assert build(buyer.name, PERIOD, buyer.lines).now.orders == 2
