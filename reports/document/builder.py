"""Builds a customer's report: rows in, report out. It knows neither the ORM nor Celery."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from reports.periods import ZONE, Period

NOTHING = Decimal("0.00")


class UnsoundRows(ValueError):
    """The rows contradict each other, so no report may be built of them."""


@dataclass(frozen=True, slots=True)
class Line:
    """One item of one order, as the database has them joined.

    Attributes:
        order: what names the order, and no other one.
        ordered_at: an aware datetime.
        order_price: of the whole order, repeated in each of its lines.
        meat: None, like `price`, for an order without items.
    """

    order: str
    ordered_at: datetime
    flavor: str
    order_price: Decimal
    meat: str | None
    price: Decimal | None


@dataclass(frozen=True, slots=True)
class Adjusted:
    """A refund or a correction of an order, whenever that was made.

    Attributes:
        at: when it was adjusted, an aware datetime.
        amount: below zero for what was given back.
    """

    order: str
    at: datetime
    kind: str
    amount: Decimal
    reason: str


@dataclass(frozen=True, slots=True)
class Totals:
    """What was ordered: orders, items and their price; and by how much orders were adjusted."""

    orders: int = 0
    items: int = 0
    total: Decimal = NOTHING
    adjusted: Decimal = NOTHING

    def __add__(self, other: "Totals") -> "Totals":
        return Totals(
            self.orders + other.orders,
            self.items + other.items,
            self.total + other.total,
            self.adjusted + other.adjusted,
        )


@dataclass(frozen=True, slots=True)
class Share:
    """A meat's or a flavor's part in the whole; `count` is of items or of orders."""

    name: str
    count: int
    total: Decimal


@dataclass(frozen=True, slots=True)
class Report:
    """All that a report says; how it looks is left to others.

    Attributes:
        meats: by what was paid for them, most first; their totals add up to `now.total`.
        flavors: likewise.
        steps: the total of each day, or of each month of a longer period.
        before_steps: the same for the period before.
        adjustments: those made in the period; they add up to `now.adjusted`, where they are listed.
    """

    name: str
    period: Period
    now: Totals
    before: Totals
    meats: Sequence[Share]
    flavors: Sequence[Share]
    steps: Sequence[Decimal]
    before_steps: Sequence[Decimal]
    adjustments: Sequence[Adjusted] = ()

    @property
    def change(self) -> Decimal | None:
        """By how many percent more was spent than before; None if there was nothing before."""
        if not self.before.total:
            return None
        return (self.now.total / self.before.total - 1) * 100


@dataclass(slots=True)
class _Order:
    """An order while its lines are gathered."""

    ordered_at: datetime
    flavor: str
    price: Decimal
    items: int = 0
    items_price: Decimal = NOTHING


@dataclass(slots=True)
class _Sums:
    """Sums by name while lines are gathered."""

    parts: dict[str, Share] = field(default_factory=dict)

    def add(self, name: str, price: Decimal) -> None:
        part = self.parts.get(name, Share(name, 0, NOTHING))
        self.parts[name] = Share(name, part.count + 1, part.total + price)

    def ordered(self) -> list[Share]:
        return sorted(self.parts.values(), key=lambda part: (-part.total, part.name))


def build(
    name: str, period: Period, lines: Iterable[Line], adjustments: Iterable[Adjusted] = ()
) -> Report:
    """Return the report of the customer `name` from the lines of `period` and the one before.

    Lines and adjustments of other times are ignored. Raises UnsoundRows if the items of an order do
    not add up to its price.
    """
    orders: dict[str, _Order] = {}
    meats = _Sums()
    for line in lines:
        order = orders.get(line.order)
        if order is None:
            order = orders[line.order] = _Order(line.ordered_at, line.flavor, line.order_price)
        if line.meat is None or line.price is None:
            continue
        order.items += 1
        order.items_price += line.price
        if period.begins <= line.ordered_at < period.ends:
            meats.add(line.meat, line.price)
    refuse_unsound(orders)
    now, steps = summed(period, orders.values())
    made = [one for one in adjustments if period.begins <= one.at < period.ends]
    now += Totals(adjusted=sum((one.amount for one in made), NOTHING))
    before, before_steps = summed(period.previous, orders.values())
    flavors = _Sums()
    for order in orders.values():
        if period.begins <= order.ordered_at < period.ends:
            flavors.add(order.flavor, order.price)
    return Report(
        name=name,
        period=period,
        now=now,
        before=before,
        meats=meats.ordered(),
        flavors=flavors.ordered(),
        steps=steps,
        before_steps=before_steps,
        adjustments=made,
    )


def refuse_unsound(orders: dict[str, _Order]) -> None:
    for number, order in orders.items():
        if order.items_price != order.price:
            raise UnsoundRows(
                f"Order {number} costs {order.price}, but its {order.items} items"
                f" add up to {order.items_price}."
            )


def summed(period: Period, orders: Iterable[_Order]) -> tuple[Totals, list[Decimal]]:
    """Return the totals of the orders in `period`, and what each of its steps adds to them."""
    totals = Totals()
    steps = [NOTHING] * len(period.steps())
    for order in orders:
        if period.begins <= order.ordered_at < period.ends:
            totals += Totals(1, order.items, order.price)
            steps[period.step_of(order.ordered_at.astimezone(ZONE).date())] += order.price
    return totals, steps
