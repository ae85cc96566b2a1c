"""A backend that takes over what a loop cannot finish, and keeps it."""

from typing import Any

from pytest_django import Settings

from hybrid_tasks import announcements
from hybrid_tasks.backends.base import HybridBackend
from hybrid_tasks.options import Options
from hybrid_tasks.results.task_result import TaskResult
from tests.hybrid_tasks.outbox.rows import LEASE

taken: list[TaskResult] = []


class TakerBackend(HybridBackend[Options]):
    """Stands for the overflow. What it has taken does not run."""

    options_class = Options
    supports_accept = True

    def dispatch(self, result: TaskResult) -> None:
        self.accept(result)
        announcements.enqueued.send(type(self), result)

    async def adispatch(self, result: TaskResult) -> None:
        self.dispatch(result)

    def accept(self, result: TaskResult) -> None:
        taken.append(result)

    def reachable(self) -> bool:
        return True

    def take_over(self, handed: list[TaskResult], seconds: float) -> list[TaskResult]:
        taken.extend(handed)
        return []

    def forward(self, relayed: list[TaskResult], seconds: float) -> set[str]:
        taken.extend(relayed)
        return set()

    def cancel(self, result_id: str) -> bool:
        return False

    async def acancel(self, result_id: str) -> bool:
        return False


def use_with_taker(settings: Settings, *, lease: float = LEASE, **options: Any) -> None:
    """Let a loop be the default backend, with a taker as its overflow."""
    taken.clear()
    settings.TASKS = {
        "default": {
            "BACKEND": "hybrid_tasks.backends.eventloop.EventLoopBackend",
            "OPTIONS": {"lease": lease, "drain_timeout": 0, "overflow": "taker", **options},
        },
        "taker": {"BACKEND": f"{__name__}.{TakerBackend.__name__}", "OPTIONS": {"lease": lease}},
    }
