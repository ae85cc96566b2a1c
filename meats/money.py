"""Amounts of money, said the same way in pages, mails, receipts and reports."""

import unicodedata
from decimal import Decimal

from django.conf import settings

NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"


def money(amount: Decimal, places: int = 2) -> str:
    """Return an amount with the house's currency: "$1,234.50", or "EUR 1,234.50" after a word.

    Arguments:
        places: digits after the point.
    """
    currency: str = settings.CURRENCY
    gap = "" if unicodedata.category(currency[-1]) == "Sc" else NO_BREAK_SPACE
    sign = "-" if round(amount, places) < 0 else ""
    return f"{sign}{currency}{gap}{abs(amount):,.{places}f}"
