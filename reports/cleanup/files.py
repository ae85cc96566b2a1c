"""The part of the nightly cleanup that is about files.

Nothing is removed but what has a name of our own making, and whose row is gone for certain.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import batched
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.core.files.storage import Storage
from django.utils import timezone

from meats.models import Order
from reports.models import CustomerReport, ReportRun
from reports.periods import Period
from reports.storage import (
    REPORT,
    SUMMARY,
    THOUSAND,
    report_name,
    report_storage,
    summary_name,
    where,
)

BATCH = 500
# A file is there before its row says so: one that is younger may be about to get one.
GRACE = timedelta(days=1)
# More files without a row than this many, and than this share of all: the database is another one.
FEW, SHARE = 20, 0.5


class TooManyOwnerless(Exception):
    """Most files have no row: the database is empty, or another one."""


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
    """Remove the report files whose report or run is gone.

    Raises StorageAway, and TooManyOwnerless where that would be most of many files.
    """
    CustomerReport.require_storage()
    storage = report_storage()
    young = timezone.now() - GRACE
    count, ownerless = 0, list[str]()
    for files in batched(walk(storage), BATCH):
        count += len(files)
        gone = without_owner(files)
        ownerless += [name for name in gone if is_older(storage, name, young)]
    if len(ownerless) > max(FEW, count * SHARE):
        raise TooManyOwnerless(
            f"{len(ownerless):,} of the {count:,} report files in {where(storage)} have no row:"
            " is this the database that they belong to? Nothing was removed. If it is, remove"
            " the files yourself."
        )
    for name in [] if dry_run else ownerless:
        storage.delete(name)
    return len(ownerless)


def walk(storage: Storage) -> Iterator[tuple[str, int | None]]:
    """Yield the names of our files, each with the key of its report; a summary has None."""
    for period in filter(is_period, sorted(listed(storage, "")[0])):
        thousands, files = listed(storage, period)
        if SUMMARY in files:
            yield summary_name(period), None
        for thousand in filter(THOUSAND.fullmatch, sorted(thousands)):
            for name in sorted(listed(storage, f"{period}/{thousand}")[1]):
                found = REPORT.fullmatch(name)
                # What is not where we would have put it is not ours.
                if found and report_name(period, int(found[1])) == f"{period}/{thousand}/{name}":
                    yield report_name(period, int(found[1])), int(found[1])


def is_period(name: str) -> bool:
    try:
        return str(Period.parse(name)) == name
    except ValueError:
        return False


def is_older(storage: Storage, name: str, moment: datetime) -> bool:
    try:
        return storage.get_modified_time(name) < moment
    except FileNotFoundError:  # it has just gone
        return False


def listed(storage: Storage, folder: str) -> tuple[list[str], list[str]]:
    """Return the folders and the files in a folder of the storage."""
    try:
        return storage.listdir(folder)
    except FileNotFoundError:  # nothing was ever stored, or the folder has just gone
        return [], []


def without_owner(files: Iterable[tuple[str, int | None]]) -> list[str]:
    """Return the names that no row may own, whether or not one has them."""
    files = list(files)
    keys = [key for _, key in files if key is not None]
    periods = {name.partition("/")[0] for name, key in files if key is None}
    reports = set(CustomerReport.objects.filter(pk__in=keys).values_list("pk", flat=True))
    runs = set(ReportRun.objects.filter(period__in=periods).values_list("period", flat=True))
    return [
        name
        for name, key in files
        if (key not in reports if key is not None else name.partition("/")[0] not in runs)
    ]


def rows_without_file(dry_run: bool) -> int:
    """Mark reports whose file is gone, and those no more whose file is back.

    Rows and names stay: without them a second start of the run would mail these customers again,
    and the file that comes back would belong to nobody. Returns how many were marked. Raises
    StorageAway.
    """
    CustomerReport.require_storage()
    storage = report_storage()
    found, last = 0, 0
    with_file = CustomerReport.objects.exclude(file="").order_by("pk")
    rows = with_file.values_list("pk", "file", "missing_since")
    while batch := list(rows.filter(pk__gt=last)[:BATCH]):
        last = batch[-1][0]
        gone = {key for key, name, _ in batch if not storage.exists(name)}
        lost = [key for key, _, since in batch if key in gone and since is None]
        back = [key for key, _, since in batch if key not in gone and since is not None]
        found += len(lost)
        if not dry_run:
            CustomerReport.objects.filter(pk__in=lost).update(missing_since=timezone.now())
            CustomerReport.objects.filter(pk__in=back).update(missing_since=None)
    return found
