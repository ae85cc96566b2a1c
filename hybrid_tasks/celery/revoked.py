"""What a revoke means for a task, such as by Flower's buttons: it is cancelled."""

import logging
from typing import Any

from celery.signals import task_revoked

from hybrid_tasks import announcements
from hybrid_tasks.celery.attempts import keep_end, latest_of
from hybrid_tasks.celery.message import carried_state
from hybrid_tasks.exceptions import TaskCancelled
from hybrid_tasks.finding import hybrid_backend
from hybrid_tasks.results import states
from hybrid_tasks.tasks import known_task

logger = logging.getLogger("hybrid_tasks")


def watch_revoked() -> None:
    """Let tasks that are revoked in the worker of this process end."""
    task_revoked.connect(on_revoked, weak=False, dispatch_uid=f"{__name__}.on_revoked")


def on_revoked(*, sender: Any, request: Any, **_kwargs: Any) -> None:
    """End a task of ours that will not be run, or whose process is being ended, in main process.

    The row of a durable one goes when it is delivered again: what has ended does not begin.
    """
    if known_task(sender.name) is None:
        return
    try:
        sent = carried_state(request, sender.name, request.args, request.kwargs)
        backend = hybrid_backend(sent.backend)
    except Exception as error:  # noqa: BLE001 - whatever it is, there is no result to tell of
        logger.warning("A revoked message for %s cannot be read: %r", sender.name, error)
        return
    latest = latest_of(backend.store, sent)
    if latest.is_finished:  # who cancelled it has told that
        return
    ended = states.failed(latest, TaskCancelled("It was revoked."))
    if keep_end(backend.store, ended):
        announcements.failed.send(type(backend), ended)
