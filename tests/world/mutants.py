"""Bugs to plant: each undoes one mend of the core. What finds none of them looks at nothing.

C4 … C18 are the numbers of the review that found these bugs.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from hybrid_tasks.announcements import Announcement
from hybrid_tasks.backends.base import HybridBackend
from hybrid_tasks.backends.celery import CeleryBackend
from hybrid_tasks.execution import attempt
from hybrid_tasks.execution.attempt import Attempt
from hybrid_tasks.loop.runner import Job, Reason, Runner, has_ended
from hybrid_tasks.loop.worker import LoopWorker
from hybrid_tasks.models import OutboxQuerySet
from hybrid_tasks.outbox import claims
from hybrid_tasks.outbox.table import rows
from hybrid_tasks.results import recorder, states
from tests.world import cache

type Planting = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Mutant:
    """One bug.

    Attributes:
        about: what is wrong with it.
        planted: gives a context in which the core has it.
    """

    about: str
    planted: Planting


MUTANTS: dict[str, Mutant] = {}


def mutant(name: str, about: str) -> Callable[[Callable[[], Iterator[None]]], None]:
    """Make a bug known of which a generator function gives the block that has it."""

    def wrapper(function: Callable[[], Iterator[None]]) -> None:
        MUTANTS[name] = Mutant(about, contextmanager(function))

    return wrapper


@mutant("C4", "an async receiver of a signal breaks what sends it")
def unprotected_signals() -> Iterator[None]:
    def send(self: Any, sender: type, result: Any) -> None:
        self._signal.send_robust(sender, task_result=result)

    with patch.object(Announcement, "send", send):
        yield


@mutant("C6", "cancelled between the end of an attempt and its callback, a job is placed again")
def cancelled_runs_on() -> Iterator[None]:
    def cancel(self: Any, job_id: str, reason: Reason = Reason.CANCELLED) -> bool:
        job: Job | None = self._jobs.get(job_id)
        if job is None or job.reason is not None or has_ended(job):
            return False
        job.reason = reason
        job.stopped(reason)
        if job not in self._running:
            self._withdraw(job)
        elif job._task is not None and not job._task.done():
            job._task.cancel(reason.value)
        return True

    start = Runner._start

    def start_whatever_was_asked(self: Any, job: Job) -> None:
        asked, job.reason = job.reason, None  # that it stops what it starts hides the bug
        start(self, job)
        job.reason = job.reason or asked

    with (
        patch.object(Runner, "cancel", cancel),
        patch.object(Runner, "_start", start_whatever_was_asked),
    ):
        yield


@mutant("C8", "what is on its way to the broker is looked up nowhere")
def lost_sight() -> Iterator[None]:
    def accept(self: Any, result: Any) -> None:
        self.route.put(self._taken(result))

    with ExitStack() as stack:
        stack.enter_context(patch.object(CeleryBackend, "accept", accept))
        local_result = HybridBackend.local_result
        stack.enter_context(patch.object(CeleryBackend, "local_result", local_result))
        yield


@mutant("C9", "a job that is not in the runner yet cannot be cancelled")
def inbox_overlooked() -> Iterator[None]:
    def cancel(self: Any, result_id: str) -> bool:
        return bool(self.runner.cancel(result_id))

    with patch.object(LoopWorker, "_cancel", cancel):
        yield


@contextmanager
def backwards() -> Iterator[None]:
    """Let states be written in the order in which they come."""
    with ExitStack() as stack:
        stack.enter_context(patch.object(recorder, "may_follow", lambda *_: True))
        stack.enter_context(patch.object(cache, "may_replace", lambda *_: True))
        yield


@mutant("C11", "the relay stores READY over whatever a worker has stored meanwhile")
def relay_stores_ready() -> Iterator[None]:
    forward = CeleryBackend.forward

    def forward_and_store(self: Any, relayed: Any, seconds: float) -> set[str]:
        unsent = forward(self, relayed, seconds)
        self.store.try_save(relayed)
        return unsent

    with backwards(), patch.object(CeleryBackend, "forward", forward_and_store):
        yield


@mutant("C12", "an error in a commit hook takes the other hooks with it")
def raising_hooks() -> Iterator[None]:
    def dispatch_committed(self: Any, result: Any) -> None:
        self.dispatch(result)

    with patch.object(HybridBackend, "dispatch_committed", dispatch_committed):
        yield


@mutant("C15", "a thread that has outlived its attempt saves the state in which that began")
def late_metadata() -> Iterator[None]:
    begin = Attempt.begin

    def begin_and_remember(self: Any) -> None:
        begin(self)
        self._begun = self.result

    def save_metadata(self: Any) -> None:
        changed = self._normalised_metadata(self._metadata)
        self._save(states.advance(self._begun, metadata=changed))

    with ExitStack() as stack:
        stack.enter_context(backwards())
        stack.enter_context(patch.object(Attempt, "begin", begin_and_remember))
        stack.enter_context(patch.object(Attempt, "_save_metadata", save_metadata))
        yield


@mutant("C17", "a loop that ends by itself counts as a failure of what ran on it")
def foreign_is_failure() -> Iterator[None]:
    with patch.object(attempt, "is_foreign", lambda _error: False):
        yield


@mutant("C18", "whatever a backoff returns is waited for")
def any_backoff() -> Iterator[None]:
    with patch.object(attempt, "seconds_of", lambda answer: answer):
        yield


@mutant("start", "an attempt begins without a look at who holds the row")
def start_of_anybody() -> Iterator[None]:
    def start_held(ids: Any, holder: str, lease: float, number: int) -> set[str]:
        changes = claims.claimed_by(holder, lease) | {"attempts": number}
        rows(ids).filter(attempts__in=(number - 1, number)).update(**changes)
        return set(rows(ids).filter(claimed_by=holder).values_list("pk", flat=True))

    with patch.object(claims, "start_held", start_held):
        yield


@mutant("grace", "the relay takes rows whose leases have ended without a grace")
def no_grace() -> Iterator[None]:
    def due(self: Any) -> Any:
        return self.alive().filter(available_at__lte=claims.Now())

    with ExitStack() as stack:
        stack.enter_context(patch.object(OutboxQuerySet, "due", due))
        stack.enter_context(patch.object(claims, "mark_overdue", lambda *_: None))
        yield
