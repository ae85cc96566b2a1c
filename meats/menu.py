"""What the smokehouse offers and what it costs."""

from collections.abc import Iterable
from decimal import Decimal

MENU = {
    "ribs": Decimal("14.50"),
    "brisket": Decimal("17.00"),
    "lemon chicken": Decimal("11.50"),
    "salmon": Decimal("16.00"),
    "bison sirloin": Decimal("21.00"),
    "sausage": Decimal("8.50"),
}
# Whatever else a visitor brings along.
OTHER_PRICE = Decimal("12.00")

DEFAULT_MEATS = tuple(MENU)
DEFAULT_FLAVOR = "Sweet Baby Ray's"
# What stands for words of visitors where these are not shown, or not kept.
OWN_MEAT = "something of their own"
OWN_FLAVOR = "a flavor of their own"
STEPS = 2  # of each meat: smoking it, applying the flavor


def price_of(meat: str) -> Decimal:
    return MENU.get(meat, OTHER_PRICE)


def total_price(meats: Iterable[str]) -> Decimal:
    return sum(map(price_of, meats), Decimal(0))
