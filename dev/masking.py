"""Addresses as they may be shown: without what is secret in them."""

import re


def masked(url: str) -> str:
    """Return `url` with *** for its password, and for its options, which may hold one.

    Up to the last @, whatever the password has in it: what was written wrongly shows least.
    """
    return re.sub(r"(?s)\?.*", "?***", re.sub(r"(?s)(//[^:@]*):.*@", r"\1:***@", url))
