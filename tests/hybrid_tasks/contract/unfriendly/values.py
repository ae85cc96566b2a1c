"""Values that nobody expects, and what becomes of them as JSON."""

import enum
import json
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from hypothesis import strategies as st

MIB = 2**20


class Colour(enum.IntEnum):
    RED = 1


class Text(str):
    """Text that says something else when it is asked."""

    __slots__ = ()

    def __str__(self) -> str:
        return "something else"


class Numbers(list[int]):
    """A list of another kind."""


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


def circle() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


# What can be kept, and how it comes back; `...` for as it was.
KEPT: dict[str, tuple[Any, Any]] = {
    "half a surrogate pair": ("\ud800 and \udfff", ...),
    "both halves of a character": (["\ud83c\udf56"], ["\U0001f356"]),
    "both halves as a key": ({"\ud83c\udf56": 1}, {"\U0001f356": 1}),
    "a surrogate as a key": ({"\udc80": 1}, ...),
    "zero bytes": ("\x00 between \x00", ...),
    "beyond the plane": ("\U0001f356 \u202e rtl \u0000", ...),
    "no numbers": ([float("nan"), float("inf"), float("-inf"), -0.0], ...),
    "a large whole number": (10**4000, ...),
    "beyond 64 bits": ([2**63, -(2**63) - 1, 2**64], ...),
    "a tiny number": ([5e-324, 1.7976931348623157e308], ...),
    "depth": (nested(300), ...),
    "a tuple": ((1, (2, ())), [1, [2, []]]),
    "numbers as keys": ({1: "a", 2.5: "b", -3: "c"}, {"1": "a", "2.5": "b", "-3": "c"}),
    "None and bools as keys": (
        {None: 1, True: 2, False: 3},
        {"null": 1, "true": 2, "false": 3},
    ),
    "keys that become one": ({1: "a", "1": "b"}, {"1": "b"}),
    "bytes": (b"text", "text"),
    "an enumeration": (Colour.RED, 1),
    "other kinds": ([Text("text"), Numbers([1]), True], ["text", [1], True]),
    "nearly 2 MiB": ("x" * (2 * MIB - 1000), ...),
    "a mapping that is no dict": (MappingProxyType({"a": 1}), {"a": 1}),
    "many": (list(range(100_000)), ...),
}

# What cannot, and what says so.
REFUSED: dict[str, Any] = {
    "too many digits": 10**5000,
    "too many digits within": {"a": [1, {"b": 10**5000}]},
    "too deep": nested(100_000),
    "a circle": circle(),
    "an object": object(),
    "a set": {1, 2},
    "a time": datetime(2030, 1, 1, tzinfo=UTC),
    "a decimal": [Decimal(1)],
    "a complex number": 1j,
    "bytes that are no text": b"\xff\xfe",
    "a function": nested,
    "a tuple as a key": {(1, 2): 3},
    "bytes as a key within": [{b"\xff": 1}],
}

TOO_LARGE: dict[str, Any] = {
    "5 MiB": "x" * 5 * MIB,
    "5 MiB of escapes": "\ud800" * MIB,
    "5 MiB of numbers": [1] * 2 * MIB,
}


def kept(name: str) -> Any:
    """Return how a value of KEPT comes back."""
    value, expected = KEPT[name]
    return value if expected is ... else expected


def by_name(name: str) -> Any:
    return KEPT[name][0] if name in KEPT else {**REFUSED, **TOO_LARGE}[name]


scalars = (
    st.none()
    | st.booleans()
    | st.integers(min_value=-(10**300), max_value=10**300)
    | st.floats()
    | st.text(st.characters(), max_size=50)
    | st.text(st.characters(categories=["Cs"]), max_size=5)
    | st.binary(max_size=10)
    | st.just(object())
)
keys = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters())
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(keys, inner, max_size=4)
        | st.frozensets(st.integers(), max_size=2)
    ),
    max_leaves=12,
)


def as_json(value: Any) -> Any:
    """Return what JSON makes of a value. Raises TypeError or ValueError where it can make nothing.

    The standard library's word, with bytes taken as text as Django does.
    """
    return json.loads(json.dumps(without_bytes(value)))


def without_bytes(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, dict):
        return {key: without_bytes(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [without_bytes(one) for one in value]
    return value
