"""Values as JSON holds them: what a task is given, returns and notes of itself.

Whatever passes here can be encoded, so that nothing later fails on one task's value.
"""

import json
import re
from typing import Any

from django.utils.json import normalize_json

from hybrid_tasks.exceptions import ValueTooLarge

MIB = 2**20
LIMIT = 4 * MIB  # bytes, where a backend says nothing else

# Of these a few are surely small and their own copies; a round trip through text takes ten times
# as long.
FEW = 16
SHORT = 256  # characters
WORD = 2**63
# Two that meet come back as the character that they are the halves of.
HALF_CHARACTER = re.compile("[\ud800-\udfff]")


def normalised(value: Any, limit: float = LIMIT, what: str = "The value") -> Any:
    """Return a copy of `value` that is as JSON will give it back.

    Keys of objects are strings then, and tuples are lists. Raises TypeError for what JSON cannot
    hold, and ValueTooLarge, with `what` it is, for more than `limit` bytes of JSON.
    """
    if is_small(value):
        return value
    if isinstance(value, list | tuple) and len(value) <= FEW and all(map(is_small, value)):
        return list(value)
    if type(value) is dict and len(value) <= FEW and all(map(is_small_pair, value.items())):
        return value.copy()
    try:
        text = json.dumps(normalize_json(value))
        size = len(text)
        if size <= limit:
            return json.loads(text)
    except RecursionError as error:
        raise TypeError(f"{what} is nested too deeply for JSON.") from error
    except ValueError as error:
        raise TypeError(f"{what} cannot be JSON: {error}") from error
    except TypeError as error:
        raise TypeError(
            f"{what} cannot be JSON: {error}. Let it hold texts, numbers, lists and dicts, such as"
            " an object's id or isoformat()."
        ) from error
    raise ValueTooLarge(
        f"{what} takes {size / MIB:.1f} MiB as JSON: at most {limit / MIB:g} MiB can be kept"
        " (option 'max_bytes')."
    )


def is_small(value: Any) -> bool:
    kind = type(value)
    return (
        value is None
        or kind is bool
        or kind is float
        or (kind is str and is_short(value))
        or (kind is int and -WORD < value < WORD)
    )


def is_small_pair(pair: tuple[Any, Any]) -> bool:
    key, value = pair
    return type(key) is str and is_short(key) and is_small(value)


def is_short(text: str) -> bool:
    return len(text) <= SHORT and (text.isascii() or not HALF_CHARACTER.search(text))
