"""How much is brought, and what it may cost."""

import os

WHOLE = os.environ.get("SIEGE") == "whole"
SHARE = 1.0 if WHOLE else 0.1

PAGE_AIM = 1.0  # seconds within which 99 of 100 pages are answered
# A machine that does other things as well is slow without being besieged: what fails is beyond it.
TOLERANCE = 6.0
GROWTH_AIM = 0.2  # of the memory, from the first time that something is brought to the second


def scaled(number: int) -> int:
    """Return a tenth of a number, but for `make siege`."""
    return max(1, round(number * SHARE))
