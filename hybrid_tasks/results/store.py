"""Where results are kept, for any process to look them up."""

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from django.core.cache import caches
from django.tasks.exceptions import TaskResultDoesNotExist

from hybrid_tasks.results.states import decode, encode
from hybrid_tasks.results.task_result import TaskResult

logger = logging.getLogger("hybrid_tasks")

KEY_PREFIX = "hybrid_tasks:result:"
CLAIM_PREFIX = "hybrid_tasks:claim:"
CANCELLED_PREFIX = "hybrid_tasks:cancelled:"


@dataclass(frozen=True, slots=True)
class ResultStore:
    """Where results are kept: one of Django's caches, for `ttl` seconds after their last change."""

    cache_alias: str
    ttl: int

    def save(self, results: Iterable[TaskResult]) -> None:
        """Keep `results`. Raises what the cache raises."""
        caches[self.cache_alias].set_many(
            {KEY_PREFIX + result.id: encode(result) for result in results}, timeout=self.ttl
        )

    def try_save(self, results: Collection[TaskResult]) -> bool:
        """Keep `results`; return whether that worked. A cache that is away is logged."""
        try:
            self.save(results)
        except Exception as error:  # noqa: BLE001 - each cache has errors of its own
            logger.warning("%d results cannot be stored: %r", len(results), error)
            return False
        return True

    def save_cancelled(self, result: TaskResult) -> None:
        """Keep the end of a task whatever a worker that has just begun it saves after this."""
        caches[self.cache_alias].set(CANCELLED_PREFIX + result.id, encode(result), timeout=self.ttl)

    def claim(self, result: TaskResult) -> bool:
        """Return True to the first who asks for this task. Raises what the cache raises.

        A dead letter that is run again has errors, and may be claimed again.
        """
        key = f"{CLAIM_PREFIX}{result.id}:{len(result.errors)}"
        claimed: bool = caches[self.cache_alias].add(key, 1, timeout=self.ttl)
        return claimed

    def load(self, result_id: str) -> TaskResult:
        """Return a kept result. Raises TaskResultDoesNotExist, or what the cache raises."""
        keys = [CANCELLED_PREFIX + result_id, KEY_PREFIX + result_id]
        found = caches[self.cache_alias].get_many(keys)
        text = next((found[key] for key in keys if key in found), None)
        if text is None:
            raise TaskResultDoesNotExist(result_id)
        try:
            return decode(text)
        except ImportError as error:
            raise TaskResultDoesNotExist(f"{result_id}: {error}") from error

    def load_texts(self, result_ids: Iterable[str]) -> dict[str, str]:
        """Return those of the results that are kept, by id, as text for `decode`, with one read.

        For whoever watches many and decodes only what changed. Raises what the cache raises.
        """
        prefixes = (KEY_PREFIX, CANCELLED_PREFIX)  # where both are found, the latter counts
        keys = {prefix + one: one for one in result_ids for prefix in prefixes}
        found = caches[self.cache_alias].get_many(keys)
        return {keys[key]: found[key] for key in keys if key in found}
