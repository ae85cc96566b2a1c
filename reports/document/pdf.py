"""A report as a PDF: one page of A4."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from io import BytesIO

from reportlab.lib.colors import Color
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

from meats.money import money
from reports.document import fonts
from reports.document.builder import Report, Share, Totals
from reports.document.pdf_chart import ASH, EMBER, INK, LINE, MUTED, draw_bars
from reports.document.pdf_chart import HEIGHT as CHART_HEIGHT

WIDTH, HEIGHT = A4
MARGIN = 50.0
ROOM = WIDTH - 2 * MARGIN
LISTED = 9  # meats, and flavors; what is left over shares one more row
ROW = 17.0
NOTES = 4  # refunds and corrections in a line of their own


@dataclass(frozen=True, slots=True)
class Words:
    """What differs between the reports for customers and the one for the staff."""

    title: str
    whose: str
    chart: str
    nothing_before: str


CUSTOMERS = Words(
    "Your {period} at the smokehouse", "Report for", "What you spent", "You ordered nothing"
)
STAFF = Words("{period} at the smokehouse", "Summary of", "Revenue", "Nobody ordered anything")


def render(report: Report, words: Words = CUSTOMERS, notes: Sequence[str] = ()) -> bytes:
    """Return the PDF of a report, with `notes` below. The same report gives the same bytes."""
    page = Page(words.title.format(period=report.period.label))
    page.text(MARGIN, "The smokehouse", 11, color=MUTED)
    page.down(34)
    page.text(MARGIN, report.period.label, 24, fonts.BOLD)
    page.down(24)
    page.text(MARGIN, words.whose, 11, color=MUTED)
    indent = fonts.width(words.whose, 11) + 6
    page.text(MARGIN + indent, fonts.shortened(report.name, 11, ROOM - indent), 11)
    page.down(40)
    page.figures(report.now, compared(report, words))
    page.down(38)
    page.heading(words.chart)
    page.chart(
        report.period.steps(),
        (report.period.label, EMBER, report.steps),
        (report.period.previous.label, ASH, report.before_steps),
    )
    page.shares("Meats", "items", report.meats, "Flavors", "orders", report.flavors)
    page.down(14)
    for note in [*adjustment_notes(report), *notes]:
        page.down(ROW)
        page.text(MARGIN, fonts.shortened(note, 10, ROOM), 10)
    first, after = report.period.first, report.period.after
    page.footer(f"Orders from {first:%-d %B %Y} to before {after:%-d %B %Y}, UTC.")
    return page.finish()


def adjustment_notes(report: Report) -> list[str]:
    """Return the refunds and corrections in lines, and what all comes to with them."""
    adjusted = report.now.adjusted
    if not report.adjustments and not adjusted:
        return []
    lines = [
        f"{one.at:%-d %b}: {one.kind} for order {one.order}, {money(one.amount)}. {one.reason}"
        for one in report.adjustments[:NOTES]
    ]
    if len(report.adjustments) > NOTES:
        rest = sum((one.amount for one in report.adjustments[NOTES:]), Decimal(0))
        lines.append(f"{len(report.adjustments) - NOTES:,} more: {money(rest)}.")
    whole = money(report.now.total + adjusted)
    return [*lines, f"With refunds and corrections of {money(adjusted)}: {whole}."]


def compared(report: Report, words: Words) -> str:
    """Return a sentence on how the period compares with the one before."""
    label = report.period.previous.label
    if report.change is None:
        return f"{words.nothing_before} in {label}."
    was = f"{money(report.before.total)} for {counted(report.before.orders, 'order')} in {label}"
    if not report.change:
        return f"As much as before: {was}."
    word = "more" if report.change > 0 else "less"
    return f"{abs(report.change):,.0f}% {word} than before: {was}."


def counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


class Page:
    """A page that is filled from the top; `y` is where the next thing goes, in points."""

    def __init__(self, title: str) -> None:
        fonts.load()
        self._file = BytesIO()
        self._canvas = Canvas(self._file, pagesize=A4, invariant=1, pageCompression=1, lang="en")
        self._canvas.setTitle(title)
        self._canvas.setAuthor("The smokehouse")
        self._canvas.setFillColor(EMBER)
        self._canvas.rect(0, HEIGHT - 8, WIDTH, 8, stroke=0, fill=1)
        self.y = HEIGHT - 56.0

    def down(self, points: float) -> None:
        self.y -= points

    def text(
        self,
        x: float,
        text: str,
        size: float,
        font: str = fonts.REGULAR,
        color: Color = INK,
        *,
        to_right: bool = False,
    ) -> None:
        """Write `text` from `x`, or up to it."""
        if to_right:
            x -= fonts.width(text, size, font)
        written = self._canvas.beginText(x, self.y)
        written.setFillColor(color)
        for name, run in fonts.runs(text, font):
            written.setFont(name, size)
            written.textOut(run)
        self._canvas.drawText(written)

    def heading(self, text: str) -> None:
        self.text(MARGIN, text, 13, fonts.BOLD)

    def figures(self, totals: Totals, sentence: str) -> None:
        """Write the three numbers that matter most, and a sentence below."""
        shown = (
            (money(totals.total), "in all"),
            (f"{totals.orders:,}", "order" if totals.orders == 1 else "orders"),
            (f"{totals.items:,}", "item" if totals.items == 1 else "items"),
        )
        for number, (value, name) in enumerate(shown):
            x = MARGIN + number * ROOM / 3
            self.text(x, value, 22, fonts.BOLD, EMBER)
            self.down(16)
            self.text(x, name, 10, color=MUTED)
            self.down(-16)
        self.down(42)
        self.text(MARGIN, sentence, 10.5)

    def chart(
        self,
        steps: Sequence[tuple[date, date]],
        *series: tuple[str, Color, Sequence[Decimal]],
    ) -> None:
        """Draw a bar for each step; see `draw_bars`."""
        self.down(CHART_HEIGHT)
        draw_bars(self._canvas, MARGIN, self.y, ROOM, steps, series)
        self.down(34)

    def shares(
        self,
        left_title: str,
        left_noun: str,
        left: Sequence[Share],
        right_title: str,
        right_noun: str,
        right: Sequence[Share],
    ) -> None:
        """Write two tables side by side."""
        top = self.y
        room = (ROOM - 30) / 2
        self.table(MARGIN, room, left_title, left_noun, left)
        bottom, self.y = self.y, top
        self.table(MARGIN + room + 30, room, right_title, right_noun, right)
        self.y = min(self.y, bottom)

    def table(self, x: float, room: float, title: str, noun: str, parts: Sequence[Share]) -> None:
        """Write a table of shares, the rest of a long one as one row, with the sum below."""
        self.text(x, title, 13, fonts.BOLD)
        self.text(x + room - 70, noun, 9, color=MUTED, to_right=True)
        for part in listed(parts):
            self.down(ROW)
            self.text(x, fonts.shortened(part.name, 10, room - 125), 10)
            self.text(x + room - 70, f"{part.count:,}", 10, to_right=True)
            self.text(x + room, money(part.total), 10, to_right=True)
        self.down(6)
        self._canvas.setStrokeColor(LINE)
        self._canvas.line(x, self.y, x + room, self.y)
        self.down(ROW - 4)
        whole = added_up(parts)
        self.text(x, "Together", 10, fonts.BOLD)
        self.text(x + room - 70, f"{whole.count:,}", 10, fonts.BOLD, to_right=True)
        self.text(x + room, money(whole.total), 10, fonts.BOLD, to_right=True)

    def footer(self, text: str) -> None:
        self.y = 36.0
        self.text(MARGIN, text, 8.5, color=MUTED)

    def finish(self) -> bytes:
        """End the page; return the document."""
        self._canvas.showPage()
        self._canvas.save()
        return self._file.getvalue()


def listed(parts: Sequence[Share]) -> list[Share]:
    """Return the first of the parts, and what all others add up to as one more."""
    if len(parts) <= LISTED + 1:
        return list(parts)
    rest = parts[LISTED:]
    return [*parts[:LISTED], added_up(rest, f"{len(rest):,} others")]


def added_up(parts: Sequence[Share], name: str = "Together") -> Share:
    return Share(
        name, sum(part.count for part in parts), sum((part.total for part in parts), Decimal(0))
    )
