"""The bar chart of the PDFs.

Drawn on the page itself: reportlab's own chart takes longer than all the rest of a report.
"""

from collections.abc import Sequence
from datetime import date
from decimal import ROUND_CEILING, Decimal

from reportlab.lib.colors import Color, HexColor
from reportlab.pdfgen.canvas import Canvas

from meats.money import money
from reports.document import fonts

# As objects: reportlab parses the text of a colour with Python's own parser, each time it is used.
INK, MUTED, LINE = HexColor("#2b2320"), HexColor("#6d5f57"), HexColor("#e6dbd0")
EMBER, ASH = HexColor("#b93a08"), HexColor("#d9c8b8")
HEIGHT = 170.0  # points, legend and labels included
LEFT, BOTTOM, TOP = 44.0, 18.0, 22.0  # of it, around the bars
SIZE = 8
GRID_LINES = 5


def draw_bars(
    canvas: Canvas,
    x: float,
    y: float,
    width: float,
    steps: Sequence[tuple[date, date]],
    series: Sequence[tuple[str, Color, Sequence[Decimal]]],
) -> None:
    """Draw for each step one bar of each series, in a box whose lower left corner is (x, y).

    A series is its name, its colour and its values; it may have more or fewer than there are steps,
    as months have days.
    """
    fonts.load()
    count = max(len(values) for _, _, values in series)
    highest = max((max(values, default=Decimal(0)) for _, _, values in series), default=Decimal(0))
    rise = grid_step(highest)
    top = max(rise, (highest / rise).to_integral_value(ROUND_CEILING) * rise)
    left, bottom = x + LEFT, y + BOTTOM
    room, height = width - LEFT, HEIGHT - BOTTOM - TOP
    draw_grid(canvas, left, bottom, room, height, rise, top)
    slot = room / count
    bar = slot * 0.84 / len(series)
    for number, (_, color, values) in enumerate(series):
        canvas.setFillColor(color)
        for position, value in enumerate(values):
            if value:
                begins = left + position * slot + slot * 0.08 + number * bar
                canvas.rect(begins, bottom, bar, height * float(value / top), stroke=0, fill=1)
    canvas.setFillColor(MUTED)
    canvas.setFont(fonts.REGULAR, SIZE)
    for position, (begins_on, ends_on) in enumerate(steps):
        if label := step_label(begins_on, ends_on):
            canvas.drawCentredString(left + (position + 0.5) * slot, y + 5, label)
    draw_legend(canvas, x + width, y + HEIGHT - SIZE, [(name, color) for name, color, _ in series])


def grid_step(highest: Decimal) -> Decimal:
    """Return a round distance of grid lines, 1, 2 or 5 times a power of ten, for a few of them."""
    if highest <= 0:
        return Decimal(1)
    power = Decimal(10) ** (highest / GRID_LINES).adjusted()
    return next(
        power * factor for factor in (1, 2, 5, 10) if power * factor * GRID_LINES >= highest
    )


def step_label(begins: date, ends: date) -> str:
    """Return a month's name or, for every fifth day, its number."""
    if (ends - begins).days > 1:
        return f"{begins:%b}"
    return str(begins.day) if begins.day == 1 or begins.day % 5 == 0 else ""


def draw_grid(
    canvas: Canvas,
    x: float,
    y: float,
    width: float,
    height: float,
    rise: Decimal,
    top: Decimal,
) -> None:
    canvas.setStrokeColor(LINE)
    canvas.setLineWidth(0.7)
    canvas.setFillColor(MUTED)
    canvas.setFont(fonts.REGULAR, SIZE)
    for number in range(int(top / rise) + 1):
        value = rise * number
        line = y + height * float(value / top)
        canvas.line(x, line, x + width, line)
        amount = money(value, places=0 if rise >= 1 else 2)
        canvas.drawRightString(x - 6, line - 3, amount)


def draw_legend(canvas: Canvas, x: float, y: float, entries: list[tuple[str, Color]]) -> None:
    """Write the series' names up to `x`, each after a square of its colour."""
    for name, color in reversed(entries):
        canvas.setFillColor(MUTED)
        canvas.drawRightString(x, y, name)
        x -= fonts.width(name, SIZE) + 12
        canvas.setFillColor(color)
        canvas.rect(x, y - 1, SIZE, SIZE, stroke=0, fill=1)
        x -= 16
