"""All customers together: what a run must add up to, and what the staff see of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice

from django.db.models import Count, QuerySet, Sum
from django.db.models.functions import TruncDate

from meats.models import Customer, Order, OrderItem
from meats.money import money
from reports.document.builder import NOTHING, Report, Share, Totals
from reports.document.rows import next_customers, ordered, ordered_by, orders_in
from reports.models import CustomerReport
from reports.periods import ZONE, Period

# Named in the overview; the others share one row.
LISTED = 50
NAMED = 10  # customers for whom sums differ
BATCH = 500


class Unreconciled(Exception):
    """The reports do not add up to the orders."""


def reconcile(period: Period) -> Totals:
    """Return what the reports of `period` add up to.

    Raises Unreconciled unless that is what the orders add up to, those of customers left out whose
    report could not be built. The two sums are computed from different tables.
    """
    reports = CustomerReport.objects.filter(period=str(period))
    built = reports.exclude(checksum="").aggregate(
        orders=Sum("orders", default=0),
        items=Sum("items", default=0),
        total=Sum("total", default=NOTHING),
        adjusted=Sum("adjusted", default=NOTHING),
    )
    reported = Totals(**built)
    wanted = ordered(period, without=reports.filter(checksum=""))
    if reported != wanted:
        raise Unreconciled(
            f"The reports of {period.label} come to {described(reported)},"
            f" the orders to {described(wanted)}. {told(differences(period))}"
        )
    return reported


@dataclass(frozen=True, slots=True)
class Difference:
    """A customer whose report does not tell what the orders come to now."""

    email: str
    reported: Totals
    ordered: Totals


def differences(period: Period) -> Iterator[Difference]:
    """Yield the customers for whom the two sums differ, and who have orders but no report."""
    reports = CustomerReport.objects.filter(period=str(period)).exclude(checksum="")
    last = 0
    fields = ("pk", "customer_id", "customer__email", "orders", "items", "total", "adjusted")
    while batch := list(reports.filter(pk__gt=last).order_by("pk").values_list(*fields)[:BATCH]):
        last = batch[-1][0]
        found = ordered_by(period, [row[1] for row in batch])
        for _, customer, email, *sums in batch:
            if Totals(*sums) != found.get(customer, Totals()):
                yield Difference(email, Totals(*sums), found.get(customer, Totals()))
    last = 0
    while customers := next_customers(period, last, BATCH):
        last = customers[-1]
        emails = dict(Customer.objects.filter(pk__in=customers).values_list("pk", "email"))
        for customer, totals in ordered_by(period, customers).items():
            yield Difference(emails[customer], Totals(), totals)


def told(found: Iterator[Difference]) -> str:
    """Return the first of the differences in words."""
    named = [
        f"{one.email} ({described(one.reported)} reported, {described(one.ordered)} ordered)"
        for one in islice(found, NAMED)
    ]
    more = sum(1 for _ in found)
    return f"They differ for {'; '.join(named)}{f' and {more:,} more' if more else ''}."


def described(totals: Totals) -> str:
    told = f"{totals.orders:,} orders, {totals.items:,} items and {money(totals.total)}"
    return f"{told}, adjusted by {money(totals.adjusted)}" if totals.adjusted else told


def overview(period: Period) -> Report:
    """Return the report of all customers together, added up by the database."""
    return Report(
        name="all customers",
        period=period,
        now=ordered(period),
        before=ordered(period.previous),
        meats=meats_of(period),
        flavors=shares(
            orders_in(period)
            .values_list("flavor")
            .annotate(parts=Count("pk"), sum=Sum("price"))
            .order_by("-sum", "flavor")
        ),
        steps=by_step(period),
        before_steps=by_step(period.previous),
    )


def meats_of(period: Period) -> list[Share]:
    items = OrderItem.objects.filter(
        order__created_at__gte=period.begins, order__created_at__lt=period.ends
    )
    return shares(
        items.order_by()
        .values_list("meat")
        .annotate(parts=Count("pk"), sum=Sum("price"))
        .order_by("-sum", "meat")
    )


def shares(parts: "QuerySet[Order, tuple] | QuerySet[OrderItem, tuple]") -> list[Share]:  # type: ignore[type-arg]
    """Return the greatest parts, and as one more what is left of the whole."""
    found = [Share(*part) for part in parts.iterator()]
    rest = found[LISTED:]
    if not rest:
        return found
    count, total = sum(part.count for part in rest), sum((part.total for part in rest), NOTHING)
    return [*found[:LISTED], Share(f"{len(rest):,} others", count, total)]


def by_step(period: Period) -> Sequence[Decimal]:
    """Return what was ordered for in each step of `period`."""
    steps = [NOTHING] * len(period.steps())
    days = (
        orders_in(period)
        .annotate(day=TruncDate("created_at", tzinfo=ZONE))
        .values_list("day")
        .annotate(sum=Sum("price"))
    )
    for day, whole in days:
        steps[period.step_of(day)] += whole
    return steps
