"""Checks of a Celery application whose broker is RabbitMQ."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from celery import Celery
from django.core import checks

from hybrid_tasks.celery.names import named


def check_rabbitmq(where: str, app: Celery) -> Iterable[checks.CheckMessage]:
    """Yield what breaks a promise on RabbitMQ; `where` begins each sentence."""
    queues = {name: queue.queue_arguments or {} for name, queue in app.amqp.queues.items()}
    quorum = {name: args for name, args in queues.items() if args.get("x-queue-type") == "quorum"}
    yield from check_priorities(where, app, queues.keys() - quorum.keys())
    yield from check_quorum_queues(where, quorum)
    if not (app.conf.broker_transport_options or {}).get("confirm_publish"):
        yield checks.Warning(
            f"{where}, whose RabbitMQ does not confirm what beat and .delay() send: a connection"
            " that is cut loses it unseen. (What this backend sends is confirmed.)",
            hint=f"Set {named(app, 'broker_transport_options')} = {{'confirm_publish': True}}.",
            id="hybrid_tasks.W017",
        )
    if not app.conf.broker_channel_error_retry:
        yield checks.Warning(
            f"{where}, whose workers end themselves when a task takes longer than RabbitMQ's"
            " consumer_timeout (half an hour unless set).",
            hint=f"Set {named(app, 'broker_channel_error_retry')} = True.",
            id="hybrid_tasks.W018",
        )


def check_priorities(
    where: str, app: Celery, classic: Iterable[str]
) -> Iterable[checks.CheckMessage]:
    """Yield a warning for classic queues that a worker would make without priorities."""
    unordered = sorted(name for name in classic if not has_priorities(app.amqp.queues[name]))
    if unordered:
        yield checks.Warning(
            f"{where}, whose queues know no priorities ({', '.join(unordered)}): RabbitMQ needs to"
            " be told when a queue is made.",
            hint=f"Set {named(app, 'task_queue_max_priority')} = 9; existing queues have to be made"
            " anew.",
            id="hybrid_tasks.W013",
        )


def has_priorities(queue: Any) -> bool:
    return bool(queue.max_priority or "x-max-priority" in (queue.queue_arguments or {}))


def check_quorum_queues(
    where: str, quorum: Mapping[str, Mapping[str, Any]]
) -> Iterator[checks.CheckMessage]:
    """Yield what RabbitMQ refuses of quorum queues, and where one throws messages away."""
    if refused := sorted(name for name, args in quorum.items() if "x-max-priority" in args):
        yield checks.Error(
            f"{where}, whose quorum queues ({', '.join(refused)}) ask for priorities: RabbitMQ"
            " refuses to declare them, so no worker could start.",
            hint="Remove task_queue_max_priority (and x-max-priority of these queues).",
            id="hybrid_tasks.E014",
        )
    # Where such letters go needs none itself: without a limit, nothing is thrown away there.
    ends = {args.get("x-dead-letter-routing-key") for args in quorum.values()}
    if leaking := sorted(
        name
        for name, args in quorum.items()
        if "x-dead-letter-exchange" not in args
        and args.get("x-delivery-limit") != -1
        and name not in ends
    ):
        yield checks.Warning(
            f"{where}, whose quorum queues ({', '.join(leaking)}) have no queue for dead letters:"
            " RabbitMQ throws away what meets their delivery limit, and ordinary tasks with it.",
            hint="Name one as docs/brokers.md shows (x-dead-letter-exchange and"
            " x-dead-letter-routing-key); if a policy of the server does, silence this check.",
            id="hybrid_tasks.W019",
        )
