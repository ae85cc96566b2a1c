"""Receipts: a text file for each order."""

import os
from pathlib import Path
from tempfile import NamedTemporaryFile

from django.conf import settings
from django.template.loader import render_to_string

from meats.models import Order


def write(order: Order) -> Path:
    """Write an order's receipt and return its path. Blocking; whoever reads it never sees half.

    Raises OSError.
    """
    path: Path = settings.RECEIPTS_DIR / f"{order.uuid}.txt"
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
