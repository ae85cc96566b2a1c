"""Any text as runs that the PDF's fonts can show: joined, ordered, with a glyph for each letter."""

from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import groupby
from pathlib import Path
from unicodedata import bidirectional, category, normalize

from arabic_reshaper import ArabicReshaper
from bidi import get_display
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont

DIRECTORY = Path(__file__).parent / "fonts"
REGULAR, BOLD = "DejaVuSans", "DejaVuSans-Bold"
FALLBACKS = ("NotoEmoji-Regular", "DroidSansFallback")
NO_GLYPH = "\N{REPLACEMENT CHARACTER}"
# Emoji are chosen and joined by marks of which a PDF has no use.
INVISIBLE = {"\N{ZERO WIDTH JOINER}", "\N{VARIATION SELECTOR-15}", "\N{VARIATION SELECTOR-16}"}
RIGHT_TO_LEFT = {"R", "AL"}

# The fonts join letters, but have no sign of its own for this word.
reshaper = ArabicReshaper({"ARABIC LIGATURE ALLAH": False})

type Run = tuple[str, str]  # (name of the font, text)


@cache
def font(name: str) -> TTFont:
    """Return a font, loaded once in a process."""
    loaded = TTFont(name, str(DIRECTORY / f"{name}.ttf"))
    pdfmetrics.registerFont(loaded)
    return loaded


def load() -> None:
    """Make the fonts known to reportlab that every page has; the others are loaded when needed."""
    for name in (REGULAR, BOLD):
        font(name)


@lru_cache(maxsize=2_000)  # headings and the menu's meats are the same in every report
def runs(text: str, name: str = REGULAR) -> list[Run]:
    """Return `text` as runs of one font each, from left to right as they are drawn.

    A letter that no font has becomes U+FFFD; control characters are dropped.
    """
    chosen = ((font_for(letter, name), letter) for letter in visible(in_visual_order(text)))
    shown = ((found or name, letter if found else NO_GLYPH) for found, letter in chosen)
    return [
        (found, "".join(letter for _, letter in letters))
        for found, letters in groupby(shown, key=lambda pair: pair[0])
    ]


def in_visual_order(text: str) -> str:
    text = normalize("NFC", text)
    if any(bidirectional(letter) in RIGHT_TO_LEFT for letter in text):
        return str(get_display(reshaper.reshape(text)))
    return text


def visible(text: str) -> Iterator[str]:
    for letter in text:
        if letter in INVISIBLE or category(letter) in {"Cf", "Cs"}:
            continue
        yield " " if category(letter) in {"Cc", "Zl", "Zp"} else letter


def font_for(letter: str, name: str) -> str | None:
    """Return the first font that has the letter; emoji prefer the one made for them."""
    order = (*FALLBACKS, name, REGULAR) if ord(letter) >= 0x1F000 else (name, REGULAR, *FALLBACKS)
    return next((found for found in order if ord(letter) in font(found).face.charToGlyph), None)


def width(text: str, size: float, name: str = REGULAR) -> float:
    """Return how wide `text` is, in points."""
    return sum(font(found).stringWidth(run, size) for found, run in runs(text, name))


def shortened(text: str, size: float, room: float, name: str = REGULAR) -> str:
    """Return `text`, cut with an ellipsis if it is wider than `room` points."""
    if width(text, size, name) <= room:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if width(text[:middle].rstrip() + "…", size, name) <= room:
            low = middle
        else:
            high = middle - 1
    return text[:low].rstrip() + "…"
