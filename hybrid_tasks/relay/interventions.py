"""What a person does with rows of the outbox, and what that means for the tasks' results."""

import json
import logging
from collections.abc import Callable, Collection, Iterable
from functools import partial
from itertools import batched
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import Q

from hybrid_tasks import announcements
from hybrid_tasks.databases.clock import Now
from hybrid_tasks.databases.errors import through_deadlocks
from hybrid_tasks.exceptions import TaskCancelled
from hybrid_tasks.finding import Hybrid, hybrid_backend
from hybrid_tasks.grouping import grouped
from hybrid_tasks.outbox import claims
from hybrid_tasks.outbox.table import CLAIMED, DEAD, WAITING, alias, rows
from hybrid_tasks.results import states
from hybrid_tasks.results.task_result import TaskResult

if TYPE_CHECKING:
    from hybrid_tasks.models import OutboxTask

logger = logging.getLogger("hybrid_tasks")

BATCH = 100  # rows that one transaction changes: others wait for it meanwhile


def retry(ids: Collection[str]) -> list[str]:
    """Let the relay take dead letters, with all attempts again, and waiting tasks at once.

    Returns the ids of those; what is claimed or sent is left alone. Raises DatabaseError.
    """
    return in_batches(retry_batch, ids)


def retry_batch(ids: Collection[str]) -> list[str]:
    with transaction.atomic(alias()):
        states = (WAITING, DEAD)
        found = list(rows(ids).filter(state__in=states).select_for_update())
        dead = [row.pk for row in found if row.state == DEAD]
        hasten([row.pk for row in found])
        revive(dead)
        # Before the commit: no worker can have stored anything newer yet.
        revived = ((backend.store, result) for backend, result in decoded(rows(dead)))
        for store, ready in grouped(revived).items():
            store.try_save(ready)
    return [row.pk for row in found]


def revive(ids: Collection[str]) -> int:
    """Let the relay run dead letters again, with all attempts; return how many there were."""
    revived = 0
    with transaction.atomic(alias()):
        for row in rows(ids).dead():
            content = states.revived(row.content)
            revived += (
                rows([row.pk])
                .dead()
                .update(**claims.left_waiting(), attempts=0, sends=0, message=json.dumps(content))
            )
    return revived


def hasten(ids: Collection[str]) -> int:
    """Let the relay take rows that wait for a later time at once; return how many there were."""
    with transaction.atomic(alias()):
        scheduled = list(rows(ids).scheduled().select_for_update())
        for row in scheduled:
            content = row.content
            content["task"]["run_after"] = None  # or the broker would wait for it
            rows([row.pk]).update(available_at=Now(), message=json.dumps(content))
    return len(scheduled)


def discard(ids: Collection[str]) -> list[str]:
    """Remove rows that no living process holds, so that their tasks never run (again).

    Returns the ids of those. A task that had not failed fails with TaskCancelled. Raises
    DatabaseError.
    """
    return in_batches(discard_batch, ids)


def in_batches(change: Callable[[Collection[str]], list[str]], ids: Collection[str]) -> list[str]:
    """Return the ids that `change` returns for each batch of `ids`, in a transaction of its own."""
    made = (through_deadlocks(alias(), partial(change, batch)) for batch in batched(ids, BATCH))
    return [task_id for changed in made for task_id in changed]


def discard_batch(ids: Collection[str]) -> list[str]:
    held = Q(state=CLAIMED, available_at__gt=Now())
    with transaction.atomic(alias()):
        found = list(rows(ids).exclude(held).select_for_update())
        claims.discard([row.pk for row in found])
    alive = [row for row in found if row.state != DEAD]
    for backend, result in decoded(alive):
        cancel(backend, states.failed(result, TaskCancelled("It was discarded by a person.")))
    return [row.pk for row in found]


def cancel(backend: Hybrid, ended: TaskResult) -> None:
    """Tell of the end of a task whose row is gone, unless it had ended already."""
    try:
        if not backend.store.end(ended):
            return
    except Exception as error:  # noqa: BLE001 - each cache has errors of its own
        logger.warning("The end of task id=%s cannot be stored: %r", ended.id, error)
    announcements.failed.send(type(backend), ended)


def decoded(found: "Iterable[OutboxTask]") -> Iterable[tuple[Hybrid, TaskResult]]:
    """Yield the result of each row with its backend, where this code knows both."""
    for row in found:
        try:
            result = states.decode(row.message)
            backend = hybrid_backend(result.backend)
        except Exception as error:  # noqa: BLE001 - whatever it is, there is no result to tell of
            logger.warning("Task id=%s path=%s is not known here: %r", row.pk, row.task_path, error)
            continue
        yield backend, result
