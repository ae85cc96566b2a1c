"""Django's Redis cache, quicker at what the recorder does all the time: storing many at once."""

import json
from typing import Any

import orjson
from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.cache.backends.redis import RedisCache as DjangoRedisCache

from hybrid_tasks.extras import not_installed

try:
    from redis.backoff import NoBackoff
    from redis.retry import Retry
except ImportError as error:
    raise not_installed("RedisCache", "redis", error) from error

# Redis' own MSET takes no expiry, so Django's set_many adds a command for each key.
SET_ALL = """
for number, key in ipairs(KEYS) do
    redis.call('SET', key, ARGV[number + 1], 'EX', ARGV[1])
end
"""

# Writes what goes forward; returns the keys of what would not. A result tells its rank at its
# beginning, whose order as text is that of the states; ends are written once.
SET_FORWARD = """
local function rank(text)
    return string.match(string.sub(text, 1, 80), 'rank[\\\\":]+(%d+)') or ''
end
local refused = {}
for number, key in ipairs(KEYS) do
    local old = redis.call('GET', key)
    local new = ARGV[number + 1]
    local before, after = old and rank(old) or '', rank(new)
    if after < before or (after == before and string.sub(before, -7) == '9999992') then
        table.insert(refused, number)
    else
        redis.call('SET', key, new, 'EX', ARGV[1])
    end
end
return refused
"""

# A server that hangs or refuses must hold up neither a worker's tasks nor the publisher, which
# stores a result before it sends the task. One retry, at once, is for a connection grown stale.
FAIL_FAST = {
    "socket_connect_timeout": 1,
    "socket_timeout": 1,
    "retry": Retry(NoBackoff(), 1),
}


class JSONSerializer:
    """Keeps values as JSON: nothing that is read from the cache can run code, as a pickle can."""

    def dumps(self, value: Any) -> str | bytes:
        # Results are such texts. Of the rest, orjson has no NaN and no large integers.
        if isinstance(value, str) and value.isascii():
            return orjson.dumps(value)
        return json.dumps(value)

    def loads(self, data: bytes) -> Any:
        return json.loads(data)


class RedisCache(DjangoRedisCache):
    """Stores values as JSON, and many with one command."""

    def __init__(self, server: str | list[str], params: dict[str, Any]) -> None:
        options = {"serializer": JSONSerializer, **FAIL_FAST, **params.get("OPTIONS", {})}
        super().__init__(server, {**params, "OPTIONS": options})

    def set_many(
        self,
        data: dict[Any, Any],
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> list[Any]:
        """See Django's."""
        seconds = self.get_backend_timeout(timeout)
        if not data or not seconds:
            failed: list[Any] = super().set_many(data, timeout, version)
            return failed
        client = self._cache.get_client(None, write=True)
        dumps = self._cache._serializer.dumps  # type: ignore[attr-defined]
        client.register_script(SET_ALL)(
            keys=[self.make_key(key, version) for key in data],
            args=[seconds, *map(dumps, data.values())],
        )
        return []

    def set_forward(self, data: dict[str, str], timeout: int) -> list[str]:
        """Keep texts of results, but none over a later state; return the keys of those refused."""
        keys = list(data)
        client = self._cache.get_client(None, write=True)
        dumps = self._cache._serializer.dumps  # type: ignore[attr-defined]
        refused = client.register_script(SET_FORWARD)(
            keys=[self.make_key(key) for key in keys],
            args=[timeout, *map(dumps, data.values())],
        )
        return [keys[number - 1] for number in refused]
