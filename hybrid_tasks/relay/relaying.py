"""The relay: sends on what waits in the outbox and what a process that died has left there."""

import json
import logging
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from django.tasks import task_backends

from hybrid_tasks import announcements
from hybrid_tasks.backends.base import HybridBackend, hybrid_backend, overflow_of
from hybrid_tasks.exceptions import TaskInterrupted
from hybrid_tasks.options import Options
from hybrid_tasks.outbox import claims
from hybrid_tasks.outbox.dead_letters import announcer
from hybrid_tasks.outbox.writer import writer
from hybrid_tasks.results import states
from hybrid_tasks.results.task_result import TaskResult

if TYPE_CHECKING:
    from hybrid_tasks.models import OutboxTask

logger = logging.getLogger("hybrid_tasks")

BATCH = 500  # rows that one statement claims
GRACE_CAP = 5.0  # seconds; a renewal that fails is tried again every two
SEND_SECONDS = 10.0  # that a batch may take on its way to the broker

_numbers = count(1)


@dataclass(slots=True)
class Relayed:
    """What one run of the relay did.

    Attributes:
        sent: tasks given to the broker.
        dead: tasks that became dead letters.
        kept: tasks that stay because the broker did not take them.
    """

    sent: int = 0
    dead: int = 0
    kept: int = 0


def relay(batch: int = BATCH) -> Relayed:
    """Send all rows that are due to the backends that take over; return what was done.

    Several relays at once never send a row twice within its lease. Raises DatabaseError.
    """
    relayed = Relayed()
    for backend in task_backends.all():
        if isinstance(backend, HybridBackend) and backend.supports_accept:
            while relay_batch(backend, batch, relayed):
                pass
    if relayed.sent or relayed.dead or relayed.kept:
        logger.info(
            "Relayed %d tasks; %d are dead letters, %d wait for the broker",
            *(relayed.sent, relayed.dead, relayed.kept),
        )
    return relayed


def relay_batch(backend: HybridBackend[Options], batch: int, relayed: Relayed) -> bool:
    """Send up to `batch` rows through `backend`; return whether more may be sent now."""
    holder = unique_holder()
    aliases = aliases_behind(backend)
    changes = claims.sent_by(holder, backend.settings.lease)
    claims.mark_overdue(aliases, grace_of(backend))
    taken = claims.take_due(holder, batch, aliases, changes)
    alive = living(taken, holder)
    relayed.dead += len(taken) - len(alive)
    if not alive:
        return len(taken) == batch
    if not backend.forward(alive, SEND_SECONDS):
        relayed.kept += len(alive)
        return False
    relayed.sent += len(alive)
    return len(taken) == batch


def grace_of[O: Options](backend: HybridBackend[O]) -> float:
    """Return the seconds in which a living process surely renews once the database is back."""
    return min(backend.settings.lease / 2, GRACE_CAP)


def unique_holder() -> str:
    """Return a name under which nothing has been claimed yet."""
    return f"{writer.holder}:{next(_numbers)}"


def aliases_behind(backend: HybridBackend[Options]) -> list[str]:
    """Return the aliases of the backends whose rows `backend` takes: its own and those before."""
    before = [one.alias for one in task_backends.all() if overflow_of(one) == backend.alias]
    return [backend.alias, *before]


def living(taken: "list[OutboxTask]", holder: str) -> list[TaskResult]:
    """Return the results of the rows that may run (again); bury the others."""
    alive = []
    for row in taken:
        try:
            result = states.decode(row.message)
        except Exception as error:  # noqa: BLE001 - whatever it is, this row cannot run
            bury_unreadable(row, error, holder)
            continue
        result = states.come_due(states.attempted(result, row.attempts))
        if row.attempts < row.max_attempts:
            alive.append(result)
        else:
            bury_exhausted(result, holder)
    return alive


def bury_exhausted(result: TaskResult, holder: str) -> None:
    """Make a task a dead letter whose process died in its last attempt."""
    dead = states.failed(
        result, TaskInterrupted("Its process died in the last attempt that the task may have.")
    )
    if not claims.bury(dead.id, states.encode(dead), holder):
        return
    backend = hybrid_backend(dead.backend)
    backend.store.try_save([dead])
    announcements.failed.send(type(backend), dead)
    announcer.announce(dead.id, dead)


def bury_unreadable(row: "OutboxTask", error: Exception, holder: str) -> None:
    """Make a task a dead letter that this code does not know (any more)."""
    logger.error("Task id=%s path=%s cannot be run: %r", row.pk, row.task_path, error)
    told = states.task_error(error)
    try:
        content = row.content
    except ValueError:  # not even JSON
        content = {"errors": [], "unreadable": row.message}
    content["errors"] = [*content["errors"], [told.exception_class_path, told.traceback]]
    content["status"] = "FAILED"
    if claims.bury(row.pk, json.dumps(content), holder):
        announcer.announce(row.pk, None)


def adopt[O: Options](backend: HybridBackend[O], room: int) -> list[TaskResult]:
    """Claim up to `room` due rows of a backend without overflow, to run in this process."""
    holder = unique_holder()
    lease = backend.settings.lease
    claims.mark_overdue([backend.alias], grace_of(backend))
    taken = claims.take_due(holder, room, [backend.alias], claims.claimed_by(holder, lease))
    alive = living(taken, holder)
    claims.pass_on([result.id for result in alive], holder, writer.holder)
    for result in alive:
        writer.hold(result.id, lease)
    return alive
