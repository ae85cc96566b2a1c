"""Customers with names and addresses that nobody would choose, and what must become of each.

Run inside the system that is tested: `manage.py shell --command "...; plant(1000)"`.
"""

from datetime import timedelta
from decimal import Decimal
from typing import Literal

type Fate = Literal["mailed", "kept", "unmailable", "gone", "full", "unsound"]

NAMES = [
    "Ada Ash",
    "",
    " ",
    "\u202eevil\u202c",
    "a" * 100,
    "\u05d0\u05d1\u05d2 \u0645\u062d\u0645\u062f",
    "\u6f22\u5b57 \u304b\u306a \ud55c\uae00",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea",
    "Ada\r\nBcc: everybody@victim.example",
    "<script>alert(1)</script>",
    "{{ settings.SECRET_KEY }} {% now 'Y' %} %s %(name)s",
    "'; DROP TABLE meats_order; --",
    "\\x00\\N{BEL}\x07\x1b[31m",
    "Z\u0351\u036b\u0343a\u0327\u0337\u0346l\u0321\u030b\u0313g\u0321\u0348\u035ao",
    "\u0915\u094d\u0937 \u0e01\u0e33 \ue000\uffff",
    "=?utf-8?q?Ada?= <ada@victim.example>",
]
UNMAILABLE = [
    "\u017f{0}@shop.example",
    "a{0}@" + "\u00fc" * 64 + ".example",
    "ada{0}@one.example, ben{0}@two.example",
    "ada{0}@one.example\r\nBcc: ben{0}@two.example",
    "a..b{0}@shop.example",
    "not an address {0}",
    "ab{0}\u017f@[{{<~n\u00fc",
    "\u202eada{0}@shop.example",
    '"ada{0}@shop.example',
    "ada{0}@shop.example <",
]


def fate(number: int) -> Fate:
    """Return what becomes of the report of a customer, by number."""
    fates: dict[int, Fate] = {3: "unmailable", 13: "unmailable", 1: "gone", 6: "unsound"}
    if number % 20 == 5:
        return "kept"
    if number % 40 == 2:
        return "full"
    return fates.get(number % 20, "mailed")


def address(number: int) -> str:
    """Return the address of a customer, as the table has it."""
    match fate(number):
        case "unmailable":
            return UNMAILABLE[number // 10 % len(UNMAILABLE)].format(number)
        case "gone" | "full" as why:
            return f"{why}.{number}@shop.example"
    return f"ada.{number}@{'b\u00fccher.example' if number % 20 == 4 else 'shop.example'}"


def recipient(number: int) -> str:
    """Return the address of a customer who can be mailed, as the mail server hears it."""
    return address(number).replace("b\u00fccher", "xn--bcher-kva")


def plant(count: int) -> None:
    """Add so many customers, with orders in the last month, and a refund for each tenth."""
    from django.utils import timezone

    from meats.models import Adjustment, Customer, Order, OrderItem
    from reports.periods import Period

    period = Period.last_closed(timezone.now())
    customers = Customer.objects.bulk_create(
        Customer(
            name=NAMES[number % len(NAMES)],
            email=address(number),
            confirmed_at=timezone.now(),
            unsubscribed_at=timezone.now() if fate(number) == "kept" else None,
        )
        for number in range(count)
    )
    orders = Order.objects.bulk_create(
        Order(
            customer=customer,
            flavor=NAMES[(number + 5) % len(NAMES)],
            price=Decimal("0.10" if fate(number) == "unsound" else "0.30"),
            created_at=period.begins + timedelta(hours=number % 600),
        )
        for number, customer in enumerate(customers)
    )
    OrderItem.objects.bulk_create(
        OrderItem(order=order, meat=NAMES[number % len(NAMES)][:50], price=Decimal(price))
        for number, order in enumerate(orders)
        for price in ("0.10", "0.20")
    )
    Adjustment.objects.bulk_create(
        Adjustment(
            order=order,
            amount=Decimal("-0.07"),
            reason=NAMES[number % len(NAMES)],
            created_at=period.ends - timedelta(hours=1),
        )
        for number, order in enumerate(orders)
        if number % 10 == 7
    )
