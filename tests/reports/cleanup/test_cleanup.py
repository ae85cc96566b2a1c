"""The nightly cleanup: removes what is old, keeps what is not, and says what it did."""

import os
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.sessions.models import Session
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.management import call_command
from django.utils import timezone
from pytest_django import Settings

from hybrid_tasks.models import OutboxTask
from meats.models import Order
from reports.cleanup import nightly
from reports.models import Cleanup, CustomerReport, ReportRun, SentSlot
from reports.periods import Period
from reports.storage import MARKER, report_name
from tests.reports.orders import PERIOD, add_customer, add_order

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _folders(settings: Settings, tmp_path: Path) -> None:
    settings.RECEIPTS_DIR = tmp_path / "receipts"
    settings.RECEIPTS_DIR.mkdir()
    shutil.rmtree(storages["reports"].path(""), ignore_errors=True)


def clean_twice() -> dict[str, int]:
    """Clean up and return what was removed, having seen that a dry run counts the same."""
    counted = nightly.clean_up(dry_run=True)
    removed = nightly.clean_up()
    assert counted == removed
    again = nightly.clean_up()
    assert set(again.values()) == {0}
    return {name: count for name, count in removed.items() if count}


def store(name: str, *, age: timedelta = timedelta(0)) -> str:
    storage = storages["reports"]
    saved = storage.save(name, ContentFile(b"%PDF"))
    moment = (timezone.now() - age).timestamp()
    os.utime(storage.path(saved), (moment, moment))
    return saved


def add_report(period: Period, file: str = "") -> CustomerReport:
    run, _ = ReportRun.objects.get_or_create(period=str(period), state="finished")
    customer = add_customer(f"Customer of {period}")
    return CustomerReport.objects.create(
        run=run, customer=customer, period=str(period), state="sent", file=file
    )


def test_more_sessions_than_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nightly, "BATCH", 3)
    now = timezone.now()
    for number in range(8):
        Session.objects.create(session_key=f"old{number}", expire_date=now - DAY)
    Session.objects.create(session_key="current", expire_date=now + DAY)
    assert clean_twice() == {"expired_sessions": 8}
    assert Session.objects.get().session_key == "current"


def test_receipts_of_orders_collected_long_ago(settings: Settings) -> None:
    ada = add_customer("Ada")
    now = timezone.now()
    for state, ago in (("collected", 91), ("collected", 89), ("smoked", 91)):
        order = add_order(ada, "ribs")
        collected = now - timedelta(days=ago)
        Order.objects.filter(pk=order.pk).update(state=state, collected_at=collected)
        (settings.RECEIPTS_DIR / f"{order.uuid}.txt").touch()
    (settings.RECEIPTS_DIR / "of somebody else.txt").touch()
    assert clean_twice() == {"old_receipts": 1}
    assert len(list(settings.RECEIPTS_DIR.iterdir())) == 3


def test_report_files_that_no_row_knows() -> None:
    report = add_report(PERIOD)
    CustomerReport.objects.update(file=store(f"2026-10/0000/{report.pk}.pdf", age=2 * DAY))
    ReportRun.objects.update(summary=store("2026-10/summary.pdf", age=2 * DAY))
    lost = store("2026-10/0999/999999.pdf", age=2 * DAY)
    young = store("2026-10/0999/999998.pdf")
    assert clean_twice() == {"report_files_without_row": 1}
    assert not storages["reports"].exists(lost)
    assert storages["reports"].exists(young)


def test_a_row_whose_file_is_gone_says_so_and_stays() -> None:
    """Without it, a second start of the run would mail the customer again."""
    store(MARKER)
    add_report(PERIOD, file="2026-10/0000/1.pdf")
    assert clean_twice() == {"reports_without_file": 1}
    report = CustomerReport.objects.get()
    assert (report.file.name, report.state) == ("2026-10/0000/1.pdf", "sent")
    assert report.missing_since
    assert not report.has_file

    store("2026-10/0000/1.pdf")
    nightly.clean_up()
    report.refresh_from_db()
    assert report.has_file


def add_reports_with_files(count: int) -> list[str]:
    """Add reports with files that are old enough to be removed; return the files' names."""
    run = ReportRun.objects.create(period=str(PERIOD), state="finished")
    names = []
    for number in range(count):
        customer = add_customer(f"Customer {number}")
        report = run.reports.create(customer=customer, period=run.period, state="sent")
        report.file = store(report_name(run.period, report.pk), age=2 * DAY)
        report.save()
        names.append(report.file.name)
    return names


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize("emptied", [True, False])
def test_a_volume_that_is_away_for_a_night_costs_no_report(
    emptied: bool, marked: bool, tmp_path: Path
) -> None:
    names = add_reports_with_files(20)
    storage = storages["reports"]
    if marked:
        nightly.clean_up()
        assert storage.exists(MARKER)
    shutil.move(storage.path(""), tmp_path / "volume")
    if emptied:  # the directory on which it is mounted is there
        Path(storage.path("")).mkdir()
    with pytest.raises(nightly.CleanupIncomplete, match="is its volume mounted") as refused:
        nightly.clean_up()
    for sweep in ("report_files_without_row", "reports_without_file", "old_runs"):
        assert f"{sweep}: StorageAway" in str(refused.value)
    shutil.rmtree(storage.path(""), ignore_errors=True)
    shutil.move(tmp_path / "volume", storage.path(""))
    for _ in range(2):
        nightly.clean_up()
        assert all(storage.exists(name) for name in names)
        rows = CustomerReport.objects.order_by("pk").values_list("file", "missing_since")
        assert list(rows) == [(name, None) for name in names]


def test_files_that_are_lost_for_good_can_be_said_to_be() -> None:
    add_reports_with_files(3)
    storage = storages["reports"]
    shutil.rmtree(storage.path(""))
    store(MARKER)
    assert clean_twice() == {"reports_without_file": 3}


def test_a_file_whose_row_has_lost_its_name_is_kept() -> None:
    """Versions before this one took it from the rows of a volume that was away."""
    names = add_reports_with_files(2)
    CustomerReport.objects.update(file="")
    assert clean_twice() == {}
    assert all(storages["reports"].exists(name) for name in names)


def test_most_files_without_a_row_are_another_databases() -> None:
    names = add_reports_with_files(21)
    CustomerReport.objects.all().delete()
    with pytest.raises(nightly.CleanupIncomplete, match="of the 21 report files in"):
        nightly.clean_up()
    assert all(storages["reports"].exists(name) for name in names)


FOREIGN = [
    "backup-of-the-shop.tar",
    "5.pdf",
    "2026-10/notes.pdf",
    "2026-10/summary.pdf.bak",
    "2026-10/5.pdf",
    "2026-10/0000/5.pdf.gpg",
    "2026-10/0000/invoice.pdf",
    "2026-10/0000/1005.pdf",  # whose place would be in 0001
    "2026-10/0000/05.pdf",
    "2026-10/0000/\u0665.pdf",
    "2026-10/0000/deeper/5.pdf",
    "2026-13/0000/5.pdf",
    "lost+found/0000/5.pdf",
    f"2026-10/0000/{'9' * 80}.pdf",
    f"2026-10/{'9' * 16}/{'9' * 19}.pdf",
]


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_file_is_never_removed_and_stops_nothing(name: str) -> None:
    assert store(name, age=900 * DAY) == name
    lost = store("2026-10/0000/999.pdf", age=2 * DAY)
    assert clean_twice() == {"report_files_without_row": 1}
    assert storages["reports"].exists(name)
    assert not storages["reports"].exists(lost)


def test_a_link_that_leads_back_is_not_followed() -> None:
    lost = store("2026-10/0000/999.pdf", age=2 * DAY)
    storage = storages["reports"]
    Path(storage.path("2026-10/loop")).symlink_to(storage.path(""), target_is_directory=True)
    assert clean_twice() == {"report_files_without_row": 1}
    assert not storage.exists(lost)


def test_old_runs_go_with_their_reports_and_files(settings: Settings) -> None:
    settings.KEEP_REPORTS_DAYS = (timezone.now() - PERIOD.ends).days + 100
    old = add_report(Period.parse("2025-10"))
    name = store(f"2025-10/0000/{old.pk}.pdf")
    CustomerReport.objects.update(file=name)
    add_report(PERIOD)
    assert clean_twice() == {"old_runs": 1}
    assert list(CustomerReport.objects.values_list("period", flat=True)) == ["2026-10"]
    assert not storages["reports"].exists(name)


def test_old_dead_letters_slots_and_cleanups() -> None:
    now = timezone.now()
    for days in (29, 31):
        OutboxTask.objects.create(
            id=str(days), state="DEAD", available_at=now - days * DAY, message="{}"
        )
    OutboxTask.objects.create(id="waits", available_at=now - 99 * DAY, message="{}")
    for days in (89, 91):
        slot = SentSlot.objects.create(schedule="Nightly cleanup", due=now - (99 + days) * DAY)
        SentSlot.objects.filter(pk=slot.pk).update(sent=now - days * DAY)
        Cleanup.objects.create(started=now - days * DAY)
    assert clean_twice() == {"old_dead_letters": 1, "old_slots": 1, "old_cleanups": 1}
    assert set(OutboxTask.objects.values_list("pk", flat=True)) == {"29", "waits"}


def test_what_was_removed_is_kept() -> None:
    Session.objects.create(session_key="old", expire_date=timezone.now() - DAY)
    nightly.clean_up(dry_run=True)
    nightly.clean_up()
    real, dry = Cleanup.objects.all()
    assert (dry.dry_run, dry.removed["expired_sessions"]) == (True, 1)
    assert (real.dry_run, real.removed["expired_sessions"]) == (False, 1)
    assert real.finished


def test_a_part_that_fails_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_dry_run: bool) -> int:
        raise OSError("no such disk")

    monkeypatch.setitem(nightly.SWEEPS, "old_receipts", broken)
    with pytest.raises(nightly.CleanupIncomplete, match="old_receipts: OSError"):
        nightly.clean_up()
    kept = Cleanup.objects.get()
    assert kept.removed["old_runs"] == 0
    assert len(kept.removed["errors"]) == 1


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    Session.objects.create(session_key="old", expire_date=timezone.now() - DAY)
    call_command("clean_up", "--dry-run")
    assert "1 expired sessions" in capsys.readouterr().out
    assert Session.objects.exists()
