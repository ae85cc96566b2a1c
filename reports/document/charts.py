"""Charts for the pages: the numbers and where their bars stand, for a template to draw as SVG."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_CEILING, Decimal

from django.core.cache import caches
from django.db.models import Count, Sum
from django.db.models.functions import TruncMonth

from meats.models import Adjustment, Order
from meats.money import money
from reports.document.pdf_chart import grid_step
from reports.periods import ZONE, Period, months_later

WIDTH, HEIGHT = 480, 220
LEFT, RIGHT, TOP, BOTTOM = 62, 4, 12, 26
MONTHS = 12
REMEMBERED = 300  # seconds


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: `words` are its value as people read it, `middle` where its label is centred."""

    label: str
    name: str
    words: str
    x: float
    y: float
    width: float
    height: float
    middle: float


@dataclass(frozen=True, slots=True)
class GridLine:
    y: float
    words: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A bar chart in a box of WIDTH by HEIGHT."""

    key: str
    title: str
    bars: Sequence[Bar]
    grid: Sequence[GridLine]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    amounts: int = LEFT - 6
    label_y: int = HEIGHT - 8

    @property
    def is_empty(self) -> bool:
        return not any(bar.height for bar in self.bars)


def bar_chart(
    key: str, title: str, values: Sequence[tuple[Period, Decimal]], *, is_money: bool
) -> Chart:
    """Return the chart of one value for each month."""
    highest = max((value for _, value in values), default=Decimal(0))
    rise = max(grid_step(highest), Decimal(1))
    top = rise * max((highest / rise).to_integral_value(ROUND_CEILING), Decimal(1))
    room = HEIGHT - TOP - BOTTOM
    slot = (WIDTH - LEFT - RIGHT) / max(len(values), 1)
    bars = []
    for number, (month, value) in enumerate(values):
        height = round(room * float(max(value, Decimal(0)) / top), 2)
        bars.append(
            Bar(
                label=f"{month.first:%b}",
                name=month.label,
                words=money(value) if is_money else f"{value:,.0f}",
                x=round(LEFT + slot * (number + 0.14), 2),
                y=round(TOP + room - height, 2),
                width=round(slot * 0.72, 2),
                height=height,
                middle=round(LEFT + slot * (number + 0.5), 2),
            )
        )
    grid = [
        GridLine(
            round(TOP + room * (1 - float(rise * number / top)), 2),
            money(rise * number, places=0) if is_money else f"{rise * number:,.0f}",
        )
        for number in range(int(top / rise) + 1)
    ]
    return Chart(key, title, bars, grid)


def recent_charts(now: datetime) -> list[Chart]:
    """Return what monthly_charts() did some minutes ago, if this process remembers it.

    It adds up a year, which is too much for every view of a page.
    """
    key = f"reports.charts.{Period.month_of(now.astimezone(ZONE).date())}"
    charts: list[Chart] | None = caches["local"].get(key)
    if charts is None:
        charts = monthly_charts(now)
        caches["local"].set(key, charts, REMEMBERED)
    return charts


def monthly_charts(now: datetime) -> list[Chart]:
    """Return revenue and volume of the last twelve months, the present one included."""
    this = Period.month_of(now.astimezone(ZONE).date())
    months = [Period(months_later(this.first, -back)) for back in reversed(range(MONTHS))]
    found = {
        month.date(): (revenue, Decimal(orders))
        for month, revenue, orders in Order.objects.filter(created_at__gte=months[0].begins)
        .order_by()
        .annotate(month=TruncMonth("created_at", tzinfo=ZONE))
        .values_list("month")
        .annotate(revenue=Sum("price"), orders=Count("pk"))
    }
    adjusted = {
        month.date(): amount
        for month, amount in Adjustment.objects.filter(created_at__gte=months[0].begins)
        .order_by()
        .annotate(month=TruncMonth("created_at", tzinfo=ZONE))
        .values_list("month")
        .annotate(amount=Sum("amount"))
    }
    nothing = (Decimal(0), Decimal(0))
    revenue = [
        (month, found.get(month.first, nothing)[0] + adjusted.get(month.first, Decimal(0)))
        for month in months
    ]
    orders = [(month, found.get(month.first, nothing)[1]) for month in months]
    return [
        bar_chart("revenue", "Revenue of the last twelve months", revenue, is_money=True),
        bar_chart("orders", "Orders of the last twelve months", orders, is_money=False),
    ]
