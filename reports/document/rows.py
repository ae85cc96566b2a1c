"""The database's side of the reports: which customers, and the rows that they are built of."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from django.db.models import Count, Exists, OuterRef, QuerySet, Sum

from meats.models import Order
from reports.document.builder import Line, Totals
from reports.models import CustomerReport
from reports.periods import Period

# A chunk has fewer customers when these order more: its rows are all in memory at once.
ORDERS_AT_ONCE = 5_000

COLUMNS = (
    *("customer_id", "pk", "uuid", "created_at", "flavor", "price", "items__meat", "items__price"),
    *("customer__name", "customer__email"),
    *("customer__confirmed_at", "customer__unsubscribed_at"),
)


@dataclass(frozen=True, slots=True)
class Buyer:
    """A customer and what was ordered in a period and the one before."""

    pk: int
    name: str
    email: str
    wants_mail: bool
    lines: list[Line]


def orders_in(period: Period) -> QuerySet[Order]:
    return Order.objects.filter(
        created_at__gte=period.begins, created_at__lt=period.ends
    ).order_by()


def next_customers(period: Period, after: int, limit: int) -> list[int]:
    """Return the keys of the next customers with orders in `period` and without a report row.

    They are ordered, all are greater than `after`, and there are at most `limit`.
    """
    has_report = CustomerReport.objects.filter(customer=OuterRef("customer"), period=str(period))
    found = (
        orders_in(period)
        .filter(~Exists(has_report), customer_id__gt=after)
        .values_list("customer_id")
        .annotate(orders=Count("pk"))
        .order_by("customer_id")[:limit]
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
    """Yield the customers with all rows that their reports need, fetched by one query."""
    rows = list(
        Order.objects.filter(
            customer_id__in=customers,
            created_at__gte=period.previous.begins,
            created_at__lt=period.ends,
        )
        .order_by("customer_id", "pk", "items__pk")
        .values_list(*COLUMNS)
    )
    for customer_id, of_customer in groupby(rows, key=itemgetter(0)):
        lines = []
        for row in of_customer:
            _, _, uuid, ordered_at, flavor, price, meat, item_price, *customer = row
            name, email, confirmed, gone = customer
            lines.append(Line(str(uuid), ordered_at, flavor, price, meat, item_price))
        # A report holds what was typed into forms, perhaps by a stranger to the address.
        wants_mail = confirmed is not None and gone is None
        yield Buyer(customer_id, name or email, email, wants_mail, lines)


def ordered(period: Period, *, without: QuerySet[CustomerReport] | None = None) -> Totals:
    """Return what all customers ordered in `period`, those of the reports `without` left out.

    It is computed from the orders alone, by other queries than the reports are built from.
    """
    orders = orders_in(period)
    if without is not None:
        orders = orders.exclude(customer__in=without.values("customer"))
    whole = orders.aggregate(number=Count("pk"), total=Sum("price"))
    items = orders.aggregate(number=Count("items"))
    return Totals(whole["number"], items["number"], whole["total"] or Totals().total)


def count_customers(period: Period) -> int:
    """Return how many customers have orders in `period` or already a report of it."""
    with_orders = orders_in(period).values("customer").distinct().count()
    only_report = CustomerReport.objects.filter(period=str(period)).exclude(
        Exists(orders_in(period).filter(customer=OuterRef("customer")))
    )
    return with_orders + only_report.count()


def count_mails(period: Period) -> int:
    """Return how many of the customers with orders in `period` and no report would get a mail."""
    has_report = CustomerReport.objects.filter(customer=OuterRef("customer"), period=str(period))
    return (
        orders_in(period)
        .filter(~Exists(has_report), customer__unsubscribed_at=None)
        .exclude(customer__confirmed_at=None)
        .values("customer")
        .distinct()
        .count()
    )
