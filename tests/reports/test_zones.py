"""Months are months of UTC, whatever zone the pages are shown in."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import pytest
from pytest_django import Settings

from hybrid_tasks.testing import CapturedTasks, capture_tasks
from meats.models import Order
from reports.document.charts import monthly_charts
from reports.models import CustomerReport
from reports.runs import control
from reports.runs.overview import by_step
from reports.tasks import feeder
from tests.reports.orders import PERIOD, add_customer, add_order

pytestmark = pytest.mark.django_db(transaction=True)

MOMENT = timedelta(microseconds=1)


@pytest.fixture(autouse=True, params=["UTC", "Europe/Berlin", "America/New_York"])
def _zone(request: pytest.FixtureRequest, settings: Settings) -> None:
    settings.TIME_ZONE = request.param


@pytest.fixture
def tasks() -> Iterator[CapturedTasks]:
    with capture_tasks() as captured:
        yield captured


def at_the_border() -> None:
    """Order in the last moment before the month, in its first, its last and the first after it."""
    for number, moment in enumerate(
        (PERIOD.begins - MOMENT, PERIOD.begins, PERIOD.ends - MOMENT, PERIOD.ends)
    ):
        order = add_order(add_customer(f"Customer {number}"), "ribs", price=f"{10**number}.00")
        Order.objects.filter(pk=order.pk).update(created_at=moment)


def test_an_order_at_the_border_counts_in_its_month(tasks: CapturedTasks) -> None:
    at_the_border()
    run = control.start(PERIOD, feeder)
    tasks.run()
    run.refresh_from_db()
    assert (run.state, run.done, run.error) == ("finished", 2, "")
    totals = CustomerReport.objects.order_by("customer__name").values_list("total", flat=True)
    assert list(totals) == [Decimal(10), Decimal(100)]


def test_the_summary_has_it_on_its_day() -> None:
    at_the_border()
    days = by_step(PERIOD)
    assert (days[0], days[-1], sum(days)) == (Decimal(10), Decimal(100), Decimal(110))
    assert by_step(PERIOD.previous)[-1] == Decimal(1)


def test_the_charts_have_it_in_its_month() -> None:
    at_the_border()
    revenue, _ = monthly_charts(PERIOD.ends)
    assert [bar.words for bar in revenue.bars[-3:]] == ["$1.00", "$110.00", "$1,000.00"]
