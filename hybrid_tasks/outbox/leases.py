"""The rows of the outbox that this process holds."""

import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Iterable

from hybrid_tasks.outbox import claims

logger = logging.getLogger("hybrid_tasks")

RENEWALS_PER_LEASE = 3


class Leases:
    """What is held, each with the seconds of its lease, and when to renew it. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, float] = {}
        self._lengths = Counter[float]()  # how many are held for so long, as there are few lengths
        self._renewed = time.monotonic()

    def __bool__(self) -> bool:
        return bool(self._held)

    def hold(self, task_id: str, lease: float) -> bool:
        """Add a row; return whether the next renewal is sooner for it."""
        with self._lock:
            sooner = lease < min(self._lengths, default=math.inf)
            self._hold(task_id, lease)
        return sooner

    def hold_all(self, leases: Iterable[tuple[str, float]]) -> None:
        """Add rows."""
        with self._lock:
            for task_id, lease in leases:
                self._hold(task_id, lease)

    def _hold(self, task_id: str, lease: float) -> None:
        if not self._held:
            self._renewed = time.monotonic()
        self._drop(task_id)
        self._held[task_id] = lease
        self._lengths[lease] += 1

    def _drop(self, task_id: str) -> None:
        lease = self._held.pop(task_id, None)
        if lease is None:
            return
        self._lengths[lease] -= 1
        if not self._lengths[lease]:
            del self._lengths[lease]

    def forget(self, ids: Iterable[str]) -> None:
        """Take out rows that were let go."""
        with self._lock:
            for task_id in ids:
                self._drop(task_id)

    def until_renewal(self, idle: float) -> float:
        """Return the seconds until the next renewal; `idle` if nothing is held."""
        with self._lock:
            lease = min(self._lengths, default=0.0)
        if not lease:
            return idle
        return max(0.0, self._renewed + lease / RENEWALS_PER_LEASE - time.monotonic())

    def renew(self, holder: str) -> set[str]:
        """Renew what is held, by one statement; return and forget what others have taken.

        A row that this process has claimed and does not hold is not renewed: nobody would run it.
        Raises DatabaseError.
        """
        with self._lock:
            held = dict(self._held)
        if not held:  # let go a moment ago
            return set()
        began = time.monotonic()
        renewed = claims.renew(held, holder, max(held.values()))
        self._renewed = began  # not if that failed: it is tried again at once then
        if renewed >= len(held):
            return set()
        kept = claims.held_by(holder)
        with self._lock:
            lost = {task_id for task_id in held if task_id in self._held} - kept
        self.forget(lost)
        if lost:
            logger.warning("%d tasks were taken over while this process hung", len(lost))
        return lost
