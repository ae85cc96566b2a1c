"""How a run gets its work done: chunk by chunk, each the job of one durable task.

Each step is one transaction under the lock of the run's row: the reports' rows, the chunk and its
task are there together or not at all, and whoever repeats a step finds it done. Only a few chunks
are on their way at once, so that a long run fills neither the broker nor the outbox.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Count, F, Min, Q
from django.utils import timezone

from hybrid_tasks.models import OutboxTask
from hybrid_tasks.tasks import Task
from reports.document import rows
from reports.models import CustomerReport, ReportChunk, ReportRun
from reports.periods import Period


@dataclass(frozen=True, slots=True)
class Feeder:
    """Gives what a run has to do to the two tasks that do it.

    They are handed in, because their module imports this one.

    Attributes:
        send_chunk: its argument is the key of a chunk.
        finish_run: its argument is the key of a run.
        announce_run: likewise; enqueued when a run has ended.
    """

    send_chunk: Task[[int], object]
    finish_run: Task[[int], object]
    announce_run: Task[[int], object]

    def feed(self, run: ReportRun) -> None:
        """Keep as many chunks on their way as there should be; after the last one, add up.

        A run that was not started makes the reports that it has rows of, and adds nothing up. The
        caller holds the run's lock.
        """
        if run.state not in (ReportRun.State.NEW, ReportRun.State.RUNNING):
            return
        open_chunks = run.chunks.filter(finished=None).count()
        while open_chunks < settings.REPORT_CHUNKS_AHEAD and (reports := next_reports(run)):
            self.open_chunk(run, reports)
            open_chunks += 1
        if not open_chunks and (deferred := next_deferred(run)):
            # Nothing else is left to do, so one chunk that waits holds up nobody.
            self.open_chunk(run, list(deferred), run_after=max(deferred.values()))
            open_chunks = 1
        if not open_chunks and run.state == ReportRun.State.RUNNING:
            run.state = ReportRun.State.FINISHING
            run.finisher_id = self.finish_run.enqueue(run.pk).id
        run.save(update_fields=["cursor", "state", "finisher_id"])

    def open_chunk(
        self, run: ReportRun, reports: list[int], run_after: datetime | None = None
    ) -> None:
        """Give reports to a task of their own, which waits until `run_after`."""
        chunk = ReportChunk.objects.create(run=run, size=len(reports))
        CustomerReport.objects.filter(pk__in=reports).update(chunk=chunk)
        self.send(chunk, run_after)

    def send(self, chunk: ReportChunk, run_after: datetime | None = None) -> None:
        chunk.task_id = self.send_chunk.using(run_after=run_after).enqueue(chunk.pk).id
        chunk.save(update_fields=["task_id"])

    def close_chunk(self, chunk_id: int, done: int, failed: int) -> None:
        """Count what a chunk has achieved, once, and feed its run."""
        with transaction.atomic():
            run = locked(ReportChunk.objects.values_list("run", flat=True).get(pk=chunk_id))
            closed = run.chunks.filter(pk=chunk_id, finished=None).update(
                done=done, failed=failed, finished=timezone.now()
            )
            if closed:
                ReportRun.objects.filter(pk=run.pk).update(
                    done=F("done") + done, failed=F("failed") + failed
                )
            self.feed(run)

    def close_run(self, run_id: int, finisher_id: str, *, summary: str, error: str) -> bool:
        """End a run whose sums the task `finisher_id` has compared; return whether that was so.

        It was not if somebody has set the run going meanwhile: then what that task found is old,
        and another one will add up.
        """
        with transaction.atomic():
            run = locked(run_id)
            if run.state != ReportRun.State.FINISHING or run.finisher_id != finisher_id:
                return False
            if run.reports.filter(state__in=CustomerReport.TO_DO, chunk=None).exists():
                run.state = ReportRun.State.RUNNING
                self.feed(run)
                return False
            run.state, run.finished = ReportRun.State.FINISHED, timezone.now()
            run.summary.name, run.error = summary, error
            run.save(update_fields=["state", "finished", "summary", "error"])
            self.announce_run.enqueue(run.pk)
        return True

    def resume_abandoned(self, run: ReportRun) -> None:
        """Give the chunks that no task will finish new tasks, instead of their dead letters."""
        for chunk in abandoned(run):
            OutboxTask.objects.dead().filter(pk=chunk.task_id).delete()
            self.send(chunk)


def locked(run_id: int) -> ReportRun:
    """Return the run, whose row nobody else changes until the transaction ends."""
    return ReportRun.objects.select_for_update().get(pk=run_id)


def next_reports(run: ReportRun) -> list[int]:
    """Return the keys of the next reports to make, whose rows are made if there are none."""
    ready = Q(not_before=None) | Q(not_before__lte=timezone.now())
    left = list(
        run.reports.filter(ready, chunk=None, state__in=CustomerReport.TO_DO)
        .order_by("pk")
        .values_list("pk", flat=True)[: settings.REPORT_CHUNK]
    )
    if left or run.state == ReportRun.State.NEW:
        return left
    customers = rows.next_customers(Period.parse(run.period), run.cursor, settings.REPORT_CHUNK)
    if not customers:
        return []
    run.cursor = customers[-1]
    made = CustomerReport.objects.bulk_create(
        CustomerReport(run=run, customer_id=customer, period=run.period) for customer in customers
    )
    return [report.pk for report in made]


def next_deferred(run: ReportRun) -> dict[int, datetime]:
    """Return the keys of the next reports to be tried again, each with the time when it may be.

    Those that come much later are left to another chunk.
    """
    waiting = run.reports.filter(chunk=None, state__in=CustomerReport.TO_DO)
    first = waiting.aggregate(first=Min("not_before"))["first"]
    if first is None:
        return {}
    together = first + timedelta(seconds=settings.REPORT_RETRY_SECONDS)
    near = waiting.filter(not_before__lte=together).order_by("not_before", "pk")
    keys = near.values_list("pk", "not_before")[: settings.REPORT_CHUNK]
    return {key: when for key, when in keys if when is not None}


def deferred(run: ReportRun) -> dict[str, Any]:
    """Return how many reports wait to be tried again, and when the `first` of them may be."""
    waiting = run.reports.filter(state__in=CustomerReport.TO_DO, not_before__isnull=False)
    return waiting.aggregate(count=Count("pk"), first=Min("not_before"))


def abandoned(run: ReportRun) -> list[ReportChunk]:
    """Return the chunks that no task will finish: theirs ran out of attempts."""
    unfinished = list(run.chunks.filter(finished=None))
    tasks = OutboxTask.objects.filter(pk__in=[chunk.task_id for chunk in unfinished])
    alive = set(tasks.alive().values_list("pk", flat=True))
    lost = [chunk.pk for chunk in unfinished if chunk.task_id not in alive]
    # Asked again: a chunk that was finished meanwhile has no task either.
    return list(run.chunks.filter(pk__in=lost, finished=None))


def is_stuck(run: ReportRun) -> bool:
    """Return whether the task that would finish the run ran out of attempts."""
    if run.state != ReportRun.State.FINISHING or is_adding_up(run):
        return False
    # Asked again: a run that was closed meanwhile has no task either.
    run.refresh_from_db()
    return run.state == ReportRun.State.FINISHING and not is_adding_up(run)


def is_adding_up(run: ReportRun) -> bool:
    """Return whether the task that finishes the run still will."""
    return (
        run.state == ReportRun.State.FINISHING
        and OutboxTask.objects.alive().filter(pk=run.finisher_id).exists()
    )
