"""The scheduled jobs, run by Celery's workers."""

import logging

from django.contrib.sessions.models import Session
from django.utils import timezone

from hybrid_tasks.tasks import task

logger = logging.getLogger(__name__)


# Done again when its worker was killed: a second run does no harm.
@task(backend="celery", max_attempts=3, timeout=600)
def nightly_cleanup() -> dict[str, int]:
    """Remove expired sessions; return how many rows of what were removed."""
    removed, _ = Session.objects.filter(expire_date__lt=timezone.now()).delete()
    logger.info("Nightly cleanup removed %d expired sessions", removed)
    return {"expired_sessions": removed}
