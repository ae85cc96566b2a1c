"""Tasks that a worker does not know: during a deploy, one of another version does.

An ordinary task gets a row, with which the relay offers it again; a durable one has its own.
"""

import json
import logging
from datetime import timedelta
from typing import Any

from celery.signals import task_unknown

from hybrid_tasks.celery.message import carried_text, mark_of
from hybrid_tasks.exceptions import OutboxUnavailable
from hybrid_tasks.finding import hybrid_backend
from hybrid_tasks.outbox.inserts import RawRow
from hybrid_tasks.outbox.writer import writer
from hybrid_tasks.results import states
from hybrid_tasks.runtime import now

logger = logging.getLogger("hybrid_tasks")

LATER_SECONDS = 30.0  # after which it is offered again
ROW_SECONDS = 2.0  # that the worker's main process, which has other tasks to see to, waits


def watch_unknown() -> None:
    """Look after our tasks that the worker of this process does not know."""
    task_unknown.connect(on_unknown, weak=False, dispatch_uid=f"{__name__}.on_unknown")


def on_unknown(*, message: Any, name: str, **_kwargs: Any) -> None:
    """Keep the task of a message that Celery has rejected because nothing is registered for it."""
    try:
        text = carried_text(mark_of(message.headers), message.payload[0])
    except Exception as error:  # noqa: BLE001 - a message can hold anything
        logger.warning("A message for %s cannot be read: %r", name, error)
        return
    if text is not None:
        leave_to_others(text, ImportError(f"{name} is not registered in this worker."))


def leave_to_others(text: str, error: Exception) -> None:
    """Keep an ordinary task, by its encoded state, that this process cannot run because of `error`.

    Where the database takes no row, it fails for all to see.
    """
    try:
        content = json.loads(text)
        task_id, path, durable = content["id"], content["task"]["path"], content["task"]["durable"]
    except (ValueError, TypeError, KeyError) as broken:
        logger.error("A message holds no task: %r", broken)  # noqa: TRY400 - its text says all
        return
    logger.warning("Task id=%s path=%s cannot be run here: %r", task_id, path, error)
    if durable:
        return
    row = RawRow(content, now() + timedelta(seconds=LATER_SECONDS))
    try:
        writer().put_rows([row], ROW_SECONDS)
    except OutboxUnavailable as unavailable:
        logger.error("Task id=%s path=%s is lost: %s", task_id, path, unavailable)  # noqa: TRY400
        fail(content, error)


def fail(content: dict[str, Any], error: Exception) -> None:
    try:
        store = hybrid_backend(content["backend"]).store
        store.save_texts({content["id"]: states.encode_failed(content, error)})
    except Exception as unstored:  # noqa: BLE001 - an unknown backend, or a cache that is away
        logger.warning("Task id=%s: its end cannot be stored: %r", content["id"], unstored)
