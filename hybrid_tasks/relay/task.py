"""The relay as a Celery task, for beat to send every few seconds."""

from celery import shared_task

from hybrid_tasks.relay.log import NAME
from hybrid_tasks.relay.relaying import relay


# Thousands of runs a day that mostly find nothing would hide all else in Flower.
@shared_task(name=NAME, ignore_result=True, send_events=False)  # type: ignore[untyped-decorator]
def relay_outbox() -> dict[str, int]:
    """Send on what waits in the outbox; several at once do no harm."""
    relayed = relay()
    return {"sent": relayed.sent, "dead": relayed.dead, "kept": relayed.kept}
