"""Customers and orders for the tests of reports."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone

from meats.models import Customer, Order, OrderItem
from reports.periods import Period

PERIOD = Period.parse("2026-10")


def add_customer(name: str, **fields: Any) -> Customer:
    email = f"{name.lower().replace(' ', '.')}@shop.example"
    known = {"name": name, "email": email, "confirmed_at": timezone.now()}
    return Customer.objects.create(**known | fields)


def add_order(
    customer: Customer,
    *meats: str,
    day: int = 5,
    price: str = "10.00",
    flavor: str = "Hickory",
    period: Period = PERIOD,
) -> Order:
    """Add an order of meats of `price` each, made on the day of the period, counted from 1."""
    order = Order.objects.create(
        customer=customer,
        flavor=flavor,
        price=Decimal(price) * len(meats),
        created_at=period.begins + timedelta(days=day - 1, hours=12),
    )
    OrderItem.objects.bulk_create(
        OrderItem(order=order, meat=meat, price=Decimal(price)) for meat in meats
    )
    return order


def add_customers(count: int, meats: Sequence[str] = ("ribs", "tofu")) -> list[Customer]:
    """Add customers with one order each."""
    customers = [add_customer(f"Customer {number}") for number in range(count)]
    for number, customer in enumerate(customers):
        add_order(customer, *meats, day=number % 28 + 1)
    return customers
