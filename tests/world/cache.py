"""The cache that keeps results in the world: as Redis does it, but it can forget and be away."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache

from hybrid_tasks.results.states import may_replace
from tests.world import stage
from tests.world.threads import point

MISSING = object()


class Kept:
    """What is in the cache of a world, by key."""

    def __init__(self) -> None:
        self._values: dict[str, tuple[Any, float | None]] = {}

    def peek(self, key: str, default: Any = None) -> Any:
        """Return a value, beside all faults and points."""
        value, end = self._values.get(key, (default, None))
        return default if end is not None and end <= stage.world().time else value

    def keep(self, key: str, value: Any, seconds: float | None) -> None:
        end = None if seconds is None else stage.world().time + seconds
        self._values[key] = (value, end)

    def forget(self, part: str = "") -> bool:
        """Lose what has `part` in its key; return whether there was anything."""
        lost = [key for key in self._values if part in key]
        for key in lost:
            del self._values[key]
        return bool(lost)


class WorldCache(BaseCache):
    """Django's interface to it. Each call is one command, which happens at once or not at all."""

    def __init__(self, _server: str, params: dict[str, Any]) -> None:
        super().__init__(params)

    def _reach(self, place: str) -> Kept:
        point(place)
        world = stage.world()
        world.faults.before_cache()
        return world.cache

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        return self._reach("it reads the cache").peek(key, default)

    def get_many(self, keys: Iterable[Any], version: int | None = None) -> dict[Any, Any]:
        kept = self._reach("it reads the cache")
        found = {key: kept.peek(key, MISSING) for key in keys}
        return {key: value for key, value in found.items() if value is not MISSING}

    def add(
        self,
        key: Any,
        value: Any,
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> bool:
        kept = self._reach("it claims in the cache")
        if kept.peek(key, MISSING) is not MISSING:
            return False
        kept.keep(key, value, timeout)
        return True

    def set(
        self,
        key: Any,
        value: Any,
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> None:
        self._reach("it writes the cache").keep(key, value, timeout)

    def delete(self, key: Any, version: int | None = None) -> bool:
        return self._reach("it writes the cache").forget(key)

    def set_forward(self, texts: Mapping[str, str], timeout: int) -> list[str]:
        """See hybrid_tasks.caches.RedisCache."""
        kept = self._reach("it writes the cache")
        refused = []
        for key, text in texts.items():
            old = kept.peek(key, "")
            if old and not may_replace(text, old):
                refused.append(key)
            else:
                kept.keep(key, text, timeout)
        return refused
