"""The database's side of the reports: which customers, and the rows that they are built of."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Count, Exists, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from meats.models import Adjustment, Customer, Order
from reports.document.builder import NOTHING, Adjusted, Line, Totals
from reports.models import CustomerReport
from reports.periods import Period

# A chunk has fewer customers when these order more: its rows are all in memory at once.
ORDERS_AT_ONCE = 5_000

COLUMNS = (
    *("customer_id", "pk", "uuid", "created_at", "flavor", "price", "items__meat", "items__price"),
    *("customer__name", "customer__email"),
    *("customer__confirmed_at", "customer__unsubscribed_at"),
)


ADJUSTED = (
    *("order__customer_id", "order__uuid", "created_at", "kind", "amount", "reason"),
    *("order__customer__name", "order__customer__email"),
    *("order__customer__confirmed_at", "order__customer__unsubscribed_at"),
)


@dataclass(frozen=True, slots=True)
class Buyer:
    """A customer, what was ordered in a period and the one before, and what was adjusted."""

    pk: int
    name: str
    email: str
    wants_mail: bool
    lines: list[Line] = field(default_factory=list)
    adjustments: list[Adjusted] = field(default_factory=list)


def orders_in(period: Period) -> QuerySet[Order]:
    return Order.objects.filter(
        created_at__gte=period.begins, created_at__lt=period.ends
    ).order_by()


def adjustments_in(period: Period) -> QuerySet[Adjustment]:
    """Return the adjustments made in `period`, of orders of whatever time."""
    return Adjustment.objects.filter(
        created_at__gte=period.begins, created_at__lt=period.ends
    ).order_by()


def customers_in(period: Period) -> QuerySet[Customer]:
    """Return the customers who ordered or had an order adjusted in `period`."""
    ordered = Exists(orders_in(period).filter(customer=OuterRef("pk")))
    adjusted = Exists(adjustments_in(period).filter(order__customer=OuterRef("pk")))
    return Customer.objects.filter(ordered | adjusted).order_by()


def without_report(customers: QuerySet[Customer], period: Period) -> QuerySet[Customer]:
    reports = CustomerReport.objects.filter(customer=OuterRef("pk"), period=str(period))
    return customers.filter(~Exists(reports))


def next_customers(period: Period, after: int, limit: int) -> list[int]:
    """Return the keys of the next customers of `period` without a report row.

    They are ordered, all are greater than `after`, and there are at most `limit`.
    """
    of_customer = orders_in(period).filter(customer=OuterRef("pk")).values("customer")
    found = (
        without_report(customers_in(period), period)
        .filter(pk__gt=after)
        .annotate(number=Coalesce(Subquery(of_customer.annotate(n=Count("pk")).values("n")), 0))
        .order_by("pk")
        .values_list("pk", "number")[:limit]
    )
    chosen: list[int] = []
    orders = 0
    for customer_id, count in found:
        orders += count
        if chosen and orders > ORDERS_AT_ONCE:
            break
        chosen.append(customer_id)
    return chosen


def buyers(period: Period, customers: Collection[int]) -> Iterator[Buyer]:
    """Yield the customers with all rows that their reports need, fetched by two queries."""
    found: dict[int, Buyer] = {}
    orders = Order.objects.filter(
        customer_id__in=customers,
        created_at__gte=period.previous.begins,
        created_at__lt=period.ends,
    )
    for row in orders.order_by("customer_id", "pk", "items__pk").values_list(*COLUMNS):
        key, _, uuid, ordered_at, flavor, price, meat, item_price, *customer = row
        buyer = found.get(key) or found.setdefault(key, made_buyer(key, *customer))
        buyer.lines.append(Line(str(uuid), ordered_at, flavor, price, meat, item_price))
    adjustments = adjustments_in(period).filter(order__customer__in=customers)
    for row in adjustments.order_by("created_at", "pk").values_list(*ADJUSTED):
        key, uuid, at, kind, amount, reason, *customer = row
        buyer = found.get(key) or found.setdefault(key, made_buyer(key, *customer))
        buyer.adjustments.append(Adjusted(uuid.hex[:8], at, kind, amount, reason))
    yield from found.values()


def made_buyer(
    key: int, name: str, email: str, confirmed: datetime | None, gone: datetime | None
) -> Buyer:
    """Return a customer without lines.

    A report holds what was typed into forms, perhaps by a stranger to the address: it is mailed to
    confirmed ones only.
    """
    return Buyer(key, name or email, email, confirmed is not None and gone is None)


def ordered(period: Period, *, without: QuerySet[CustomerReport] | None = None) -> Totals:
    """Return what all customers ordered in `period`, those of the reports `without` left out.

    It is computed from the orders alone, by other queries than the reports are built from.
    """
    orders, adjustments = orders_in(period), adjustments_in(period)
    if without is not None:
        orders = orders.exclude(customer__in=without.values("customer"))
        adjustments = adjustments.exclude(order__customer__in=without.values("customer"))
    whole = orders.aggregate(number=Count("pk"), total=Sum("price", default=NOTHING))
    items = orders.aggregate(number=Count("items"))
    adjusted = adjustments.aggregate(sum=Sum("amount", default=NOTHING))
    return Totals(whole["number"], items["number"], whole["total"], adjusted["sum"])


def ordered_by(period: Period, customers: Collection[int]) -> dict[int, Totals]:
    """Return what each of the customers ordered in `period`, by their keys."""
    orders = orders_in(period).filter(customer__in=customers).values_list("customer")
    items = dict(orders.annotate(Count("items")))
    found = {
        customer: Totals(number, items[customer], total)
        for customer, number, total in orders.annotate(Count("pk"), Sum("price"))
    }
    adjustments = adjustments_in(period).filter(order__customer__in=customers)
    for customer, amount in adjustments.values_list("order__customer").annotate(Sum("amount")):
        found[customer] = found.get(customer, Totals()) + Totals(adjusted=amount)
    return found


def count_customers(period: Period) -> int:
    """Return how many customers are of `period` or have already a report of it."""
    reports = CustomerReport.objects.filter(customer=OuterRef("pk"), period=str(period))
    reported_only = Customer.objects.filter(Exists(reports)).exclude(
        pk__in=customers_in(period).values("pk")
    )
    return customers_in(period).count() + reported_only.count()


def count_mails(period: Period) -> int:
    """Return how many of the customers of `period` without a report would get a mail."""
    mailed = customers_in(period).filter(unsubscribed_at=None).exclude(confirmed_at=None)
    return without_report(mailed, period).count()
