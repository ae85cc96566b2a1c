"""The relay: sends on what waits in the outbox and what a process that died has left there."""

import json
import logging
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from hybrid_tasks import announcements
from hybrid_tasks.exceptions import TaskInterrupted
from hybrid_tasks.finding import Hybrid, hybrid_backend, hybrid_backends, overflow_of
from hybrid_tasks.outbox import claims
from hybrid_tasks.outbox.dead_letters import Announcer
from hybrid_tasks.outbox.writer import writer
from hybrid_tasks.results import states
from hybrid_tasks.results.task_result import TaskResult
from hybrid_tasks.runtime import current
from hybrid_tasks.traces import RelayTraces

if TYPE_CHECKING:
    from hybrid_tasks.models import OutboxTask

logger = logging.getLogger("hybrid_tasks")

BATCH = 500  # rows that one statement claims
GRACE_CAP = 5.0  # seconds; a renewal that fails is tried again every two
SEND_SECONDS = 10.0  # that a batch may take on its way to the broker

# So often is a row tried that this code does not know, each time after twice the lease: with 30 s,
# for half an hour. In a rolling deploy it is another version that knows it.
UNKNOWN_SENDS = 6
ADOPTED_AGAIN = 15.0  # seconds, doubled with each try

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
    relayed = relay_due(batch)
    takers = [backend for backend in hybrid_backends() if backend.supports_accept]
    current().part(RelayTraces).leave(backend.settings.result_cache for backend in takers)
    return relayed


def relay_due(batch: int = BATCH) -> Relayed:
    """See relay(); without a trace, for who does not do so again."""
    relayed = Relayed()
    for backend in hybrid_backends():
        if backend.supports_accept:
            while relay_batch(backend, batch, relayed):
                pass
    if relayed.sent or relayed.dead or relayed.kept:
        logger.info(
            "Relayed %d tasks; %d are dead letters, %d wait for the broker",
            *(relayed.sent, relayed.dead, relayed.kept),
        )
    return relayed


def relay_batch(backend: Hybrid, batch: int, relayed: Relayed) -> bool:
    """Send up to `batch` rows through `backend`; return whether more may be sent now."""
    holder = unique_holder()
    aliases = aliases_behind(backend)
    changes = claims.sent_by(holder, backend.settings.lease)
    claims.mark_overdue(aliases, grace_of(backend))
    taken = claims.take_due(holder, batch, aliases, changes)
    alive = living(taken, holder, relayed)
    kept = backend.forward(alive, SEND_SECONDS) if alive else set()
    relayed.kept += len(kept)
    relayed.sent += len(alive) - len(kept)
    # One message that is refused holds up no other; a broker that is away takes none.
    return len(taken) == batch and (not kept or len(kept) < len(alive))


def grace_of(backend: Hybrid) -> float:
    """Return the seconds in which a living process surely renews once the database is back."""
    return min(backend.settings.lease / 2, GRACE_CAP)


def unique_holder() -> str:
    """Return a name under which nothing has been claimed yet."""
    return f"{current().holder}:{next(_numbers)}"


def aliases_behind(backend: Hybrid) -> list[str]:
    """Return the aliases of the backends whose rows `backend` takes: its own and those before."""
    before = [one.alias for one in hybrid_backends() if overflow_of(one) == backend.alias]
    return [backend.alias, *before]


def living(taken: "list[OutboxTask]", holder: str, relayed: Relayed) -> list[TaskResult]:
    """Return the results of the rows that may run (again); deal with each of the others alone."""
    alive = []
    for row in taken:
        try:
            result = states.come_due(states.attempted(states.decode(row.message), row.attempts))
            ended = result.is_finished or row.attempts >= row.max_attempts
            if not ended:
                alive.append(result)
            elif bury_exhausted(result, holder):
                relayed.dead += 1
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this row's
            if give_up(row, error, holder):
                relayed.dead += 1
    return alive


def bury_exhausted(result: TaskResult, holder: str) -> bool:
    """Make a task a dead letter whose process died in its last attempt; return whether it is one.

    Had it told of its end before it died, only its row has not heard of it.
    """
    backend = hybrid_backend(result.backend)
    told = told_end(backend, result)
    if told is not None and (told.status == "SUCCESSFUL" or states.was_cancelled(told)):
        claims.remove_sent(result.id, holder)
        return False
    dead = told or states.failed(
        result, TaskInterrupted("Its process died in the last attempt that the task may have.")
    )
    if not claims.bury(dead.id, states.encode(dead), holder):
        return False
    if told is None:
        backend.store.try_save([dead])
        announcements.failed.send(type(backend), dead)
    current().part(Announcer).announce(dead.id, dead)
    return True


def told_end(backend: Hybrid, result: TaskResult) -> TaskResult | None:
    """Return the end of a task if it is known although its row is still there."""
    try:
        kept = backend.store.load(result.id)
    except Exception:  # noqa: BLE001 - nothing is known, or the cache is away
        return None
    return kept if kept.is_finished and kept.generation == result.generation else None


def give_up(row: "OutboxTask", error: Exception, holder: str) -> bool:
    """Leave a row that this code cannot run to another version; return whether it is too late.

    Marked as sent, its turn comes again after its lease, which doubles; adopted, it is put off as
    long. In the end it is a dead letter.
    """
    about = (row.pk, row.task_path, error)
    if row.sends < UNKNOWN_SENDS:
        claims.put_off(row.pk, holder, ADOPTED_AGAIN * 2**row.sends)
        logger.warning("Task id=%s path=%s cannot be run here, is tried later: %r", *about)
        return False
    logger.error("Task id=%s path=%s cannot be run: %r", *about)
    if not claims.bury(row.pk, json.dumps(unreadable(row, error)), holder):
        return False
    current().part(Announcer).announce(row.pk, None)
    return True


def unreadable(row: "OutboxTask", error: Exception) -> dict[str, object]:
    """Return the content of a dead letter that this code does not know (any more)."""
    told = states.task_error(error)
    try:
        content = row.content
        errors = list(content["errors"])
    except (ValueError, TypeError, KeyError):  # no JSON, or not of a result
        content, errors = {"unreadable": row.message}, []
    errors.append([told.exception_class_path, told.traceback])
    return content | {"errors": errors, "status": "FAILED"}


def adopt(backend: Hybrid, room: int) -> list[TaskResult]:
    """Claim up to `room` due rows of a backend without overflow, to run in this process."""
    holder = unique_holder()
    lease = backend.settings.lease
    claims.mark_overdue([backend.alias], grace_of(backend))
    taken = claims.take_due(holder, room, [backend.alias], claims.adopted_by(holder, lease))
    alive = living(taken, holder, Relayed())
    if alive:
        claims.pass_on([result.id for result in alive], holder, current().holder)
        writer().own(lease)
    return alive
