"""The part of the nightly cleanup that is about files."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import batched
from pathlib import Path, PurePosixPath
from uuid import UUID

from django.conf import settings
from django.core.files.storage import Storage
from django.utils import timezone

from meats.models import Order
from reports.models import CustomerReport, ReportRun
from reports.storage import report_storage

BATCH = 500
# A file is there before its row says so: one that is younger may be about to get one.
GRACE = timedelta(days=1)
FILE_GONE = "The file is gone from the storage."


def old_receipts(dry_run: bool) -> int:
    """Remove the receipts of orders that were collected more than KEEP_RECEIPTS_DAYS ago."""
    before = timezone.now() - timedelta(days=settings.KEEP_RECEIPTS_DAYS)
    removed = 0
    for paths in batched(Path(settings.RECEIPTS_DIR).glob("*.txt"), BATCH):
        by_order = {uuid: path for path in paths if (uuid := uuid_in(path.stem))}
        old = Order.objects.filter(
            uuid__in=by_order, state=Order.State.COLLECTED, collected_at__lt=before
        )
        for uuid in old.values_list("uuid", flat=True):
            removed += 1
            if not dry_run:
                by_order[uuid].unlink(missing_ok=True)
    return removed


def uuid_in(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def files_without_row(dry_run: bool) -> int:
    """Remove the report files of which no row knows."""
    storage = report_storage()
    removed = 0
    for names in batched(walk(storage), BATCH):
        known = known_names(names)
        for name in names:
            if name not in known and storage.get_modified_time(name) < timezone.now() - GRACE:
                removed += 1
                if not dry_run:
                    storage.delete(name)
    return removed


def walk(storage: Storage, folder: str = "") -> Iterator[str]:
    """Yield the names of all files in a storage, folder by folder."""
    try:
        folders, files = storage.listdir(folder)
    except FileNotFoundError:  # nothing was ever stored, or the folder has just gone
        return
    yield from (str(PurePosixPath(folder, name)) for name in sorted(files))
    for name in sorted(folders):
        yield from walk(storage, str(PurePosixPath(folder, name)))


def known_names(names: tuple[str, ...]) -> set[str]:
    """Return those of the names that a row has."""
    keys = [int(stem) for name in names if (stem := PurePosixPath(name).stem).isdecimal()]
    reports = CustomerReport.objects.filter(pk__in=keys).values_list("file", flat=True)
    summaries = ReportRun.objects.filter(summary__in=names).values_list("summary", flat=True)
    return {*reports, *summaries}


def rows_without_file(dry_run: bool) -> int:
    """Let reports whose file is gone say so.

    The rows stay: without them a second start of the run would mail these customers again.
    """
    storage = report_storage()
    found, last = 0, 0
    rows = CustomerReport.objects.exclude(file="").order_by("pk")
    while batch := list(rows.filter(pk__gt=last).values_list("pk", "file")[:BATCH]):
        last = batch[-1][0]
        gone = [key for key, name in batch if not storage.exists(name)]
        found += len(gone)
        if gone and not dry_run:
            CustomerReport.objects.filter(pk__in=gone).update(file="", error=FILE_GONE)
    return found
