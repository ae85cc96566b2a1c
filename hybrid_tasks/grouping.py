"""Grouping, where the order of what comes does not matter (itertools.groupby needs it sorted)."""

from collections.abc import Iterable


def grouped[K, V](pairs: Iterable[tuple[K, V]]) -> dict[K, list[V]]:
    """Return the values by key, both in the order in which they come."""
    groups: dict[K, list[V]] = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return groups
