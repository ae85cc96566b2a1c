"""What a worker does with a message: the entry of all our tasks."""

from typing import Any

from celery.exceptions import Ignore, Reject

from hybrid_tasks.celery.attempts import make_attempt
from hybrid_tasks.celery.delivery import Delivery
from hybrid_tasks.celery.durable import CLAIM_SECONDS, DurableDelivery
from hybrid_tasks.celery.message import carried_state, carried_text, mark_of
from hybrid_tasks.celery.ordinary import OrdinaryDelivery
from hybrid_tasks.celery.unknown import leave_to_others
from hybrid_tasks.exceptions import OutboxUnavailable
from hybrid_tasks.finding import hybrid_backend
from hybrid_tasks.outbox.inserts import NewRow
from hybrid_tasks.outbox.writer import writer
from hybrid_tasks.tasks import extended


def run_message(celery_task: Any, path: str, args: Any, kwargs: Any) -> Any:
    """Make one attempt at the task of a message, in a worker; return what the task returned.

    Raises what Celery must hear: the exception of the task, Retry, Ignore, Reject, or the
    SystemExit by which this process was told to end.
    """
    with delivery_of(celery_task, path, args, kwargs) as delivery:
        delivery.begin()
        make_attempt(delivery.attempt)
        return delivery.finish()


def delivery_of(celery_task: Any, path: str, args: Any, kwargs: Any) -> Delivery:
    """Return what is to be done with a message. Raises Ignore if this code cannot read it.

    Raises Reject for a durable task that was sent by name, as beat does, if it can have no row now.
    """
    request = celery_task.request
    try:
        sent = carried_state(request, path, args, kwargs)
        backend = hybrid_backend(sent.backend)
    except Exception as error:
        text = carried_text(mark_of(request), args)
        if text is None:
            raise
        leave_to_others(text, error)
        raise Ignore from error
    if not extended(sent.task).durable:
        return OrdinaryDelivery(celery_task, sent, backend)
    if mark_of(request) is None:
        try:
            writer().put_row(NewRow(sent), CLAIM_SECONDS)
        except OutboxUnavailable as error:
            raise Reject(str(error), requeue=True) from error
    return DurableDelivery(celery_task, sent, backend)
