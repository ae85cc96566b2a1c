"""The PDFs: read back as text, and looked at as an image."""

import re
from datetime import timedelta
from decimal import Decimal
from io import BytesIO

import pypdfium2
import pytest
from pypdf import PdfReader

from reports.document import fonts, pdf
from reports.document.builder import Line, Report, build
from reports.document.pdf_chart import EMBER, grid_step
from reports.periods import Period

PERIOD = Period.parse("2026-10")


def report_of(name: str, orders: int, flavor: str = "Hickory") -> Report:
    """Return the report of a customer with so many orders in the period and half of it before."""
    lines = []
    for number in range(orders + orders // 2):
        begins = (PERIOD if number < orders else PERIOD.previous).begins
        at = begins + timedelta(hours=number % 700)
        lines += [
            Line(str(number), at, flavor, Decimal("31.50"), meat, Decimal("10.50"))
            for meat in ("ribs", "tofu", f"meat {number % 40}")
        ]
    return build(name, PERIOD, lines)


def text_of(document: bytes) -> str:
    pages = PdfReader(BytesIO(document)).pages
    assert len(pages) == 1
    return pages[0].extract_text()


def colors_of(document: bytes) -> dict[tuple[int, ...], int]:
    """Return how many pixels of the rendered page have which colour."""
    with pypdfium2.PdfDocument(document) as opened:
        image = opened[0].render(scale=1).to_pil().convert("RGB")
    return {color: count for count, color in image.getcolors(maxcolors=1 << 24) or []}


@pytest.mark.parametrize("orders", [1, 5_000])
def test_its_text_has_the_numbers_of_the_report(orders: int) -> None:
    report = report_of("Ada Ash", orders)
    text = text_of(pdf.render(report))
    assert "October 2026" in text
    assert "Ada Ash" in text
    assert f"${orders * Decimal('31.50'):,.2f}" in text
    assert f"{orders:,}" in text
    assert f"{orders * 3:,}" in text
    assert "September 2026" in text
    totals = [Decimal(found.replace(",", "")) for found in re.findall(r"\$([\d,]+\.\d\d)", text)]
    # In all, in both tables' last rows, and in the only flavor's.
    assert totals.count(report.now.total) >= 4


def test_a_long_table_says_how_many_others_there_are() -> None:
    text = text_of(pdf.render(report_of("Ada", 5_000)))
    assert "33 others" in text  # 42 meats, nine of them named


def test_more_or_less_than_before() -> None:
    assert "more than before: $472.50 for 15 orders" in text_of(pdf.render(report_of("Ada", 30)))
    assert "You ordered nothing in September 2026." in text_of(pdf.render(report_of("Ada", 1)))


def test_the_same_report_gives_the_same_file() -> None:
    assert pdf.render(report_of("Ada", 20)) == pdf.render(report_of("Ada", 20))


def test_the_chart_is_drawn() -> None:
    """The bars, as all ink of this colour that a report without orders has not."""
    ember = tuple(EMBER.bitmap_rgb())
    empty = colors_of(pdf.render(report_of("Ada", 0))).get(ember, 0)
    assert colors_of(pdf.render(report_of("Ada", 700))).get(ember, 0) > empty + 5_000


@pytest.mark.parametrize(
    "name",
    [
        "Bartholomew " * 60,
        "Wolfeschlegelsteinhausenbergerdorff" * 12,
        "Jürgen Łukasz Ñandú Ωμέγα Жанна",
        "محمد عبد الله",
        "שלום כהן",
        "Ada 🍖🔥👨‍👩‍👧 Ash",
        "山田 太郎 カナ 김철수",
        "mixed שלום and 123 محمد 🍖",
        "tab\tnew\nline \u202e\u200b",
        "",
    ],
)
def test_names_of_all_kinds_fit_into_one_line_of_known_glyphs(name: str) -> None:
    document = pdf.render(report_of(name, 3, flavor=name))
    text_of(document)
    shown = fonts.runs(fonts.shortened(name, 11, 400))
    assert fonts.NO_GLYPH not in "".join(run for _, run in shown)
    assert fonts.width(fonts.shortened(name, 11, 400), 11) <= 400
    for font, run in shown:
        glyphs = fonts.font(font).face.charToGlyph
        assert [letter for letter in run if not glyphs.get(ord(letter))] == []


def test_a_letter_that_no_font_has_is_marked() -> None:
    assert fonts.runs("Thai: ก") == [(fonts.REGULAR, "Thai: �")]


def test_right_to_left_is_ordered_and_joined() -> None:
    ((_, shown),) = fonts.runs("שלום")
    assert shown == "םולש"
    ((_, joined),) = fonts.runs("محمد")
    assert len(joined) == 4
    assert all("\ufe70" <= letter <= "\ufeff" for letter in joined)  # the joined forms


@pytest.mark.parametrize(
    ("highest", "rise"),
    [
        ("0", "1"),
        ("4", "1"),
        ("9", "2"),
        ("23", "5"),
        ("100", "20"),
        ("1234", "500"),
        ("0.3", "0.1"),
    ],
)
def test_grid_lines_stand_at_round_numbers(highest: str, rise: str) -> None:
    assert grid_step(Decimal(highest)) == Decimal(rise)
