"""The scheduled jobs, run by Celery's workers."""

import logging

from celery import shared_task
from django.contrib.sessions.models import Session
from django.utils import timezone

logger = logging.getLogger(__name__)


# Acknowledged late: a killed worker's cleanup is done again, which does no harm.
@shared_task(acks_late=True, soft_time_limit=600, time_limit=660)
def nightly_cleanup() -> dict[str, int]:
    """Remove expired sessions; return how many rows of what were removed."""
    removed, _ = Session.objects.filter(expire_date__lt=timezone.now()).delete()
    logger.info("Nightly cleanup removed %d expired sessions", removed)
    return {"expired_sessions": removed}
