"""Reports built of rows: pure, exact, and refused where the rows contradict each other."""

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reports.document.builder import Line, Totals, UnsoundRows, build
from reports.periods import Period

PERIOD = Period.parse("2026-10")


def lines_of(
    order: str, day: int, *prices: str, flavor: str = "Hickory", meat: str = "ribs"
) -> list[Line]:
    """Return the lines of an order on the day of the period, counted from 1; before it from 0."""
    at = PERIOD.begins + timedelta(days=day - 1, hours=3)
    total = sum(map(Decimal, prices), Decimal(0))
    return [Line(order, at, flavor, total, meat, Decimal(price)) for price in prices]


def test_totals_of_the_period_and_of_the_one_before() -> None:
    lines = [
        *lines_of("a", 1, "14.50", "8.50"),
        *lines_of("b", 31, "17.00"),
        *lines_of("c", 0, "20.00"),
    ]
    report = build("Ada", PERIOD, lines)
    assert report.now == Totals(2, 3, Decimal("40.00"))
    assert report.before == Totals(1, 1, Decimal("20.00"))
    assert report.change == 100
    assert report.steps[0] == Decimal("23.00")
    assert report.steps[30] == Decimal("17.00")
    assert report.before_steps[29] == Decimal("20.00")


def test_nothing_before_means_no_change() -> None:
    assert build("Ada", PERIOD, lines_of("a", 1, "1.00")).change is None


def test_the_edges_of_the_period_belong_to_one_period_each() -> None:
    lines = []
    for number, at in enumerate(
        (PERIOD.begins, PERIOD.begins - timedelta(microseconds=1), PERIOD.ends)
    ):
        lines.append(Line(str(number), at, "Hickory", Decimal(1), "ribs", Decimal(1)))
    report = build("Ada", PERIOD, lines)
    assert (report.now.orders, report.before.orders) == (1, 1)


def test_meats_and_flavors_most_first() -> None:
    lines = [
        *lines_of("a", 1, "5.00", "5.00", meat="ribs", flavor="Hickory"),
        *lines_of("b", 2, "20.00", meat="brisket", flavor="Gold Bond"),
        *lines_of("c", 3, "1.00", meat="ribs", flavor="Hickory"),
        *lines_of("d", 0, "99.00", meat="of last month"),
    ]
    report = build("Ada", PERIOD, lines)
    assert [(part.name, part.count, part.total) for part in report.meats] == [
        ("brisket", 1, Decimal("20.00")),
        ("ribs", 3, Decimal("11.00")),
    ]
    assert [(part.name, part.count, part.total) for part in report.flavors] == [
        ("Gold Bond", 1, Decimal("20.00")),
        ("Hickory", 2, Decimal("11.00")),
    ]


def test_items_that_do_not_add_up_to_the_order_are_refused() -> None:
    line = Line("a1b2", PERIOD.begins, "Hickory", Decimal("10.00"), "ribs", Decimal("9.99"))
    with pytest.raises(UnsoundRows, match=r"costs 10\.00, but its 1 items add up to 9\.99"):
        build("Ada", PERIOD, [line])


def test_an_order_without_items_is_refused_only_if_it_costs_something() -> None:
    free = Line("a", PERIOD.begins, "Hickory", Decimal(0), None, None)
    assert build("Ada", PERIOD, [free]).now == Totals(1, 0, Decimal(0))
    dear = Line("b", PERIOD.begins, "Hickory", Decimal(3), None, None)
    with pytest.raises(UnsoundRows):
        build("Ada", PERIOD, [dear])


cents = st.integers(0, 10**6).map(lambda number: Decimal(number) / 100)
orders = st.lists(
    st.tuples(st.integers(1, 31), st.lists(cents, min_size=1, max_size=4)), max_size=20
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the machine may be it
@given(orders)
def test_every_way_to_add_up_gives_the_same(given_orders: list[tuple[int, list[Decimal]]]) -> None:
    lines = [
        line
        for number, (day, prices) in enumerate(given_orders)
        for line in lines_of(str(number), day, *map(str, prices), meat=f"meat {number % 3}")
    ]
    report = build("Ada", PERIOD, lines)
    whole = sum((price for _, prices in given_orders for price in prices), Decimal(0))
    assert report.now.total == whole
    assert sum(part.total for part in report.meats) == whole
    assert sum(part.total for part in report.flavors) == whole
    assert sum(report.steps) == whole
    assert sum(part.count for part in report.meats) == report.now.items
    assert sum(part.count for part in report.flavors) == report.now.orders == len(given_orders)
