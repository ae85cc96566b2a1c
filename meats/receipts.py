"""Receipts: a text file for each order."""

import os
from pathlib import Path
from tempfile import NamedTemporaryFile

from django.conf import settings
from django.template.loader import render_to_string

from meats.models import Order


def path_of(order: Order) -> Path:
    """Return where an order's receipt is, or would be."""
    path: Path = settings.RECEIPTS_DIR / f"{order.uuid}.txt"
    return path


def read(order: Order) -> str | None:
    """Return the text of an order's receipt; None if there is none. Blocking."""
    try:
        return path_of(order).read_text()
    except FileNotFoundError:
        return None


def write(order: Order) -> Path:
    """Write an order's receipt and return its path. Blocking; whoever reads it never sees half.

    Raises OSError.
    """
    path = path_of(order)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = render_to_string("meats/receipt.txt", {"order": order})
    # In UTF-8 whatever the locale: names and currencies are not ASCII only.
    with NamedTemporaryFile(
        "w", encoding="utf-8", dir=path.parent, prefix=".", delete_on_close=False
    ) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
        file.close()
        Path(file.name).replace(path)
    return path
