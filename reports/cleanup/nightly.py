"""The nightly cleanup: what is no longer needed is removed, a few hundred at a time.

Each batch is a transaction of its own, so that nobody waits for long; cut off, it is just shorter.
Results of tasks need no cleaning: the cache forgets them after their `result_ttl`.
"""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.sessions.models import Session
from django.db.models import Model, QuerySet
from django.utils import timezone

from hybrid_tasks.models import OutboxTask
from reports.cleanup import files
from reports.models import Cleanup, CustomerReport, ReportRun, SentSlot
from reports.periods import Period
from reports.storage import report_storage

logger = logging.getLogger(__name__)

BATCH = 500  # rows
KEEP_SLOTS_DAYS = 90

type Sweep = Callable[[bool], int]  # (dry run) -> how many


class CleanupIncomplete(Exception):
    """Some of the cleanup failed; the rest was done."""


def clean_up(*, dry_run: bool = False) -> dict[str, int]:
    """Remove all that is old enough; return how many of what.

    A dry run only counts. One part that fails stops no other. Raises CleanupIncomplete then.
    """
    kept = Cleanup.objects.create(dry_run=dry_run)
    errors: list[str] = []
    for name, sweep in SWEEPS.items():
        try:
            kept.removed[name] = sweep(dry_run)
        except Exception as error:
            logger.exception("Cleaning up %s failed", name)
            errors.append(f"{name}: {error!r}")
    removed = dict(kept.removed)
    if errors:
        kept.removed["errors"] = errors
    kept.finished = timezone.now()
    kept.save()
    logger.info(
        "Nightly cleanup %s %s",
        "would remove" if dry_run else "removed",
        ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in removed.items()),
    )
    if errors:
        raise CleanupIncomplete("; ".join(errors))
    return removed


def remove[M: Model](rows: "QuerySet[M]", dry_run: bool) -> int:
    """Delete rows in batches; return how many there were."""
    if dry_run:
        return rows.count()
    removed = 0
    while keys := list(rows.order_by("pk").values_list("pk", flat=True)[:BATCH]):
        rows.model._default_manager.filter(pk__in=keys).delete()
        removed += len(keys)
    return removed


def expired_sessions(dry_run: bool) -> int:
    return remove(Session.objects.filter(expire_date__lt=timezone.now()), dry_run)


def old_dead_letters(dry_run: bool) -> int:
    before = days_ago(settings.KEEP_DEAD_LETTERS_DAYS)
    return remove(OutboxTask.objects.dead().filter(available_at__lt=before), dry_run)


def old_cleanups(dry_run: bool) -> int:
    before = days_ago(settings.KEEP_CLEANUPS_DAYS)
    return remove(Cleanup.objects.filter(started__lt=before), dry_run)


def old_slots(dry_run: bool) -> int:
    # By when it was sent: a slot that was missed long ago may have been sent just now.
    return remove(SentSlot.objects.filter(sent__lt=days_ago(KEEP_SLOTS_DAYS)), dry_run)


def old_runs(dry_run: bool) -> int:
    """Remove the runs of periods that ended too long ago, with their reports and files.

    Raises StorageAway: files that are away now would be without a row when they are back.
    """
    CustomerReport.require_storage()
    before = days_ago(settings.KEEP_REPORTS_DAYS)
    old = [run for run in ReportRun.objects.all() if Period.parse(run.period).ends < before]
    for run in [] if dry_run else old:
        storage = report_storage()
        while reports := list(run.reports.order_by("pk")[:BATCH]):
            for report in reports:
                if report.file:
                    storage.delete(str(report.file))
            run.reports.filter(pk__in=[report.pk for report in reports]).delete()
        if run.summary:
            storage.delete(str(run.summary))
        remove(run.chunks.all(), dry_run=False)
        run.delete()
    return len(old)


def days_ago(days: int) -> Any:
    return timezone.now() - timedelta(days=days)


SWEEPS: dict[str, Sweep] = {
    "expired_sessions": expired_sessions,
    "old_receipts": files.old_receipts,
    "report_files_without_row": files.files_without_row,
    "reports_without_file": files.rows_without_file,
    "old_runs": old_runs,
    "old_dead_letters": old_dead_letters,
    "old_cleanups": old_cleanups,
    "old_slots": old_slots,
}
