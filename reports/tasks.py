"""The jobs that Celery's workers do. Each is durable, and does no harm when it is repeated.

What may take longer than some minutes is done by the queue `heavy`: the other one carries rescues
and mails, and its worker has two places.
"""

import logging
from datetime import datetime
from typing import Any

from django.dispatch import receiver
from django.utils import timezone

from hybrid_tasks.signals import task_dead
from hybrid_tasks.tasks import TaskContext, TaskResult, task
from meats.backoffs import patient
from reports import dead_letters, digest
from reports.cleanup import nightly
from reports.models import ReportChunk, ReportRun
from reports.periods import Period
from reports.runs import chunks, control, finishing
from reports.runs.feeding import Feeder

logger = logging.getLogger(__name__)


@task(
    backend="celery",
    queue_name="heavy",
    takes_context=True,
    max_attempts=5,
    backoff=patient,
    timeout=900,
    durable=True,
)
def send_chunk(context: TaskContext, chunk_id: int) -> dict[str, int]:
    """Make and mail the reports of a chunk's customers; return how many are done and failed."""
    chunk = ReportChunk.objects.select_related("run").get(pk=chunk_id)

    def tell(finished: int, size: int) -> None:
        ReportChunk.objects.filter(pk=chunk_id).update(done=finished)
        context.metadata["progress"] = {"done": finished, "total": size, "note": chunk.run.label}
        context.save_metadata()

    done, failed = chunks.make_chunk(chunk, tell)
    feeder.close_chunk(chunk_id, done, failed)
    return {"done": done, "failed": failed}


@task(
    backend="celery",
    queue_name="heavy",
    takes_context=True,
    max_attempts=5,
    backoff=patient,
    timeout=900,
    durable=True,
)
def finish_run(context: TaskContext, run_id: int) -> bool:
    """Compare the sums of a run and close it; return whether it is closed."""
    run = ReportRun.objects.get(pk=run_id)
    return finishing.finish(run, context.task_result.id, feeder)


@task(backend="celery", max_attempts=5, backoff=patient, timeout=300, durable=True)
def announce_run(run_id: int) -> None:
    """Tell the staff how a run has ended."""
    finishing.tell_staff(ReportRun.objects.get(pk=run_id))


feeder = Feeder(send_chunk, finish_run, announce_run)


@task(backend="celery", max_attempts=5, backoff=patient, timeout=300, durable=True)
def send_customer_reports(period: str | None = None) -> str:
    """Start the run of a period such as 2026-10, or of the last month; return the period."""
    chosen = Period.parse(period) if period else Period.last_closed(timezone.now())
    control.start(chosen, feeder)
    return str(chosen)


@task(backend="celery", max_attempts=3, backoff=patient, timeout=300, durable=True)
def send_staff_digest() -> int:
    """Mail the staff what happened in the last seven days; return how many of them."""
    return digest.send()


@task(backend="celery", max_attempts=5, backoff=patient, timeout=300, durable=True)
def tell_of_dead_letters(since: str) -> int:
    """Mail the staff the dead letters since a moment, in ISO format; return how many."""
    return dead_letters.tell(datetime.fromisoformat(since))


@receiver(task_dead, dispatch_uid="reports.dead_letters")
def notice_dead_letter(task_result: TaskResult | None, **_kwargs: Any) -> None:
    """Have the staff told, now or soon, together with others."""

    def enqueue(since: datetime, at: datetime) -> None:
        tell_of_dead_letters.using(run_after=at).enqueue(since.isoformat())

    dead_letters.notice(task_result, enqueue)


@task(
    backend="celery",
    queue_name="heavy",
    max_attempts=3,
    backoff=patient,
    timeout=1800,
    durable=True,
)
def nightly_cleanup(dry_run: bool = False) -> dict[str, Any]:
    """Remove what is no longer needed; return how many of what."""
    return nightly.clean_up(dry_run=dry_run)
