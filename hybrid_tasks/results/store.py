"""Where results are kept, for any process to look them up."""

import logging
import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.core.cache import caches
from django.tasks.exceptions import TaskResultDoesNotExist

from hybrid_tasks.databases import errors
from hybrid_tasks.results.states import decode, encode, may_replace
from hybrid_tasks.results.task_result import TaskResult

logger = logging.getLogger("hybrid_tasks")

KEY_PREFIX = "hybrid_tasks:result:"
CLAIM_PREFIX = "hybrid_tasks:claim:"
PROBE_PREFIX = "hybrid_tasks:probe:"  # what is written to see who reads it

# Names of exceptions, and of their bases, by which the clients of caches say that the other side is
# away: redis, valkey, pymemcache and pylibmc have no class in common.
AWAY = {
    "ConnectionError",
    "TimeoutError",
    "BusyLoadingError",
    "ReadOnlyError",
    "OutOfMemoryError",
    "ConnectionInterrupted",
    "MemcacheUnexpectedCloseError",
    "MemcacheServerError",
    "ServerDown",
    "ServerDead",
    "HostLookupError",
}


class NotStored(Exception):
    """The cache has refused some of the values that it was given."""


def is_away(error: Exception) -> bool:
    """Return whether an error of a cache says that it cannot be reached, or takes nothing, now."""
    if isinstance(error, OSError) or errors.is_away(error):
        return True
    return not AWAY.isdisjoint(kind.__name__ for kind in type(error).__mro__)


@dataclass(frozen=True, slots=True)
class ResultStore:
    """Where results are kept: one of Django's caches, for `ttl` seconds after their last change.

    A state is written forwards only. hybrid_tasks.caches.RedisCache compares and writes in one
    step; with another cache it is read, compared and written, and two processes that write in the
    same moment can still pass each other.
    """

    cache_alias: str
    ttl: int

    def save(self, results: Iterable[TaskResult]) -> set[str]:
        """Keep `results`; return the ids of those that would have gone backwards.

        Raises what the cache raises, and NotStored.
        """
        return self.save_texts({result.id: encode(result) for result in results})

    def save_texts(self, texts: Mapping[str, str]) -> set[str]:
        """See save(): of results as `encode` makes them, by id."""
        by_key = {KEY_PREFIX + result_id: text for result_id, text in texts.items()}
        refused = self._write(caches[self.cache_alias], by_key)
        return {key.removeprefix(KEY_PREFIX) for key in refused}

    def _write(self, cache: Any, texts: Mapping[str, str]) -> Collection[str]:
        if set_forward := getattr(cache, "set_forward", None):
            at_once: Collection[str] = set_forward(texts, self.ttl)
            return at_once
        found = cache.get_many(list(texts))
        refused = [key for key, old in found.items() if not may_replace(texts[key], old)]
        missed = cache.set_many(
            {key: text for key, text in texts.items() if key not in refused}, timeout=self.ttl
        )
        if missed:
            raise NotStored(f"{len(missed)} of {len(texts)} results, such as {missed[0]}.")
        return refused

    def try_save(self, results: Collection[TaskResult]) -> bool:
        """Keep `results`; return whether that worked. A cache that is away is logged."""
        try:
            self.save(results)
        except Exception as error:  # noqa: BLE001 - each cache has errors of its own
            logger.warning("%d results cannot be stored: %r", len(results), error)
            return False
        return True

    def begin(self, result: TaskResult) -> bool:
        """Keep the beginning of an attempt; return False if it has begun, or the task ended.

        Raises what the cache raises.
        """
        cache = caches[self.cache_alias]
        attempt = f"{CLAIM_PREFIX}{result.id}:{result.generation}:{result.attempts}"
        ours = uuid.uuid4().hex
        # A client whose answer was lost asks again, and is told of its own claim.
        claimed = cache.add(attempt, ours, timeout=self.ttl) or cache.get(attempt) == ours
        return claimed and not self.save([result])

    def end(self, result: TaskResult) -> bool:
        """Keep the end of a task; return False if it had ended otherwise. Raises as the cache."""
        text = encode(result)
        refused = self.save_texts({result.id: text})
        # As above: it may be our own end that is kept.
        return not refused or self.load_texts(refused).get(result.id) == text

    def load(self, result_id: str) -> TaskResult:
        """Return a kept result. Raises TaskResultDoesNotExist, or what the cache raises."""
        text = caches[self.cache_alias].get(KEY_PREFIX + result_id)
        if text is None:
            raise TaskResultDoesNotExist(result_id)
        try:
            return decode(text)
        except (ImportError, ValueError, TypeError, KeyError) as error:
            raise TaskResultDoesNotExist(f"{result_id}: {error}") from error

    def load_texts(self, result_ids: Iterable[str]) -> dict[str, str]:
        """Return those of the results that are kept, by id, as text for `decode`, with one read.

        For whoever watches many and decodes only what changed. Raises what the cache raises.
        """
        keys = {KEY_PREFIX + one: one for one in result_ids}
        found = caches[self.cache_alias].get_many(list(keys))
        return {keys[key]: text for key, text in found.items()}
