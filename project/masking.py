"""Keeps out of the log what opens a page for whoever has its address.

An order's uuid, a task's id and a signed link are keys. Every line is masked when it is written,
with its traceback, whoever wrote it: the server's access log, Django's "Not Found", or we.
"""

import logging
import re

# The part of a path after one of these is a key, also of a file's path: a receipt is called after
# its order. A test compares them with the addresses that there are.
KEYS_FOLLOW = ("confirm", "orders", "own", "receipts", "tasks", "unsubscribe")
MASK = "***"

_SLASH = "(?:/|%2F)"  # quoted where the path stands in a query
_in_path = re.compile(
    rf"({_SLASH}(?:{'|'.join(KEYS_FOLLOW)}){_SLASH}+)((?!%2F)[^/?#&\s\"'])+", re.IGNORECASE
)
_in_query = re.compile(r"([?&][\w-]+=)[0-9a-f]{8}(?:-?[0-9a-f]{4}){3}-?[0-9a-f]{12}", re.IGNORECASE)


def masked(text: str) -> str:
    """Return a text in which no path and no query holds a key."""
    return _in_query.sub(rf"\g<1>{MASK}", _in_path.sub(rf"\g<1>{MASK}", text))


class MaskingFormatter(logging.Formatter):
    """Formats records as ever, and masks the keys in the result."""

    def format(self, record: logging.LogRecord) -> str:
        return masked(super().format(record))
