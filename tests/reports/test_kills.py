"""A run whose worker, beat and broker are killed: one mail for everybody, and right sums."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reports.periods import Period
from tests.processes import wait_until
from tests.reports.system import System, prepared

LONG = 240.0  # seconds that a run with kills may take on a slow machine
CUSTOMERS = 120


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    with prepared(tmp_path) as system:
        yield system


def test_a_run_outlives_its_worker_beat_and_broker(system: System) -> None:
    period = Period.last_closed(datetime.now(UTC))
    system.manage("seed_demo", "--customers", str(CUSTOMERS), "--orders", "600")
    system.start_mail()
    system.start_worker()
    beat = system.start_beat()
    system.manage("send_reports", "--period", str(period), "--no-wait")

    system.wait_for_worker(lambda: system.count_mails() >= 15, "some are mailed", LONG)
    system.kill_worker()
    seen = system.count_mails()
    system.start_worker()
    system.wait_for_worker(lambda: system.count_mails() >= seen + 15, "others go on", LONG)
    beat.kill()
    system.start_beat()
    system.restart_broker()
    seen = system.count_mails()

    def ended() -> bool:
        return system.rows("SELECT state FROM reports_reportrun") == [("finished",)]

    system.wait_for_worker(
        lambda: system.count_mails() > seen or ended(), "the workers are back", LONG
    )
    system.kill_worker()
    system.start_worker()
    system.wait_for_worker(ended, "the run is finished", LONG)
    during = f"created_at >= '{period.first}' AND created_at < '{period.after}'"
    wanted = system.rows(
        "SELECT email FROM meats_customer WHERE id IN"  # noqa: S608
        f" (SELECT customer_id FROM meats_order WHERE {during})"
    )
    assert len(wanted) > CUSTOMERS / 2
    assert system.mails_to() == {email: 1 for (email,) in wanted}
    files = list((system.directory / "reports" / str(period)).glob("*/*.pdf"))
    assert len(files) == len(wanted)
    assert all(file.read_bytes().startswith(b"%PDF") for file in files)
    assert system.rows(
        "SELECT count(*), sum(orders), sum(total) FROM reports_customerreport WHERE state = 'sent'"
    ) == system.rows(
        f"SELECT count(DISTINCT customer_id), count(*), sum(price) FROM meats_order"  # noqa: S608
        f" WHERE {during}"
    )
    ((total, done, failed),) = system.rows("SELECT total, done, failed FROM reports_reportrun")
    assert (total, done, failed) == (len(wanted), len(wanted), 0)


def test_two_beats_by_mistake_run_a_missed_slot_once(system: System) -> None:
    system.env["LEASE"] = "30"  # nobody is killed here, and who hangs is to keep what it runs
    # No other slot comes meanwhile, whatever the hour.
    system.change(
        "UPDATE django_celery_beat_crontabschedule"  # noqa: S608
        f" SET hour = '{(datetime.now(UTC).hour + 12) % 24}', day_of_month = '*', day_of_week = '*'"
    )
    system.change(
        "UPDATE django_celery_beat_periodictask SET last_run_at = '2026-01-01 00:00:00'"
        " WHERE task = 'reports.tasks.nightly_cleanup'"
    )
    system.start_worker()
    beats = [system.start_beat(), system.start_beat()]
    for beat in beats:
        beat.wait_for("beat: Starting...")
    system.wait_for_ticks()
    finished = "SELECT 1 FROM reports_cleanup WHERE finished IS NOT NULL"
    wait_until(lambda: system.rows(finished), "it is run", LONG)
    # What is sent by two is done by now or waits in the outbox.
    wait_until(lambda: not system.rows("SELECT 1 FROM hybrid_tasks_outboxtask"), "all is done")
    assert system.rows("SELECT count(*) FROM reports_cleanup") == [(1,)]
    assert system.rows("SELECT schedule FROM reports_sentslot") == [("Nightly cleanup",)]


def test_an_edit_in_the_admin_outlives_a_restart(system: System) -> None:
    system.change(
        "UPDATE django_celery_beat_periodictask SET enabled = 0, last_run_at = '2026-01-01'"
        " WHERE task = 'reports.tasks.nightly_cleanup'"
    )
    system.manage("sync_schedules")
    beat = system.start_beat()
    system.wait_for_ticks()
    beat.kill()
    system.start_beat()
    system.wait_for_ticks()
    assert "Nightly cleanup (" not in system.log()
    assert system.rows(
        "SELECT enabled FROM django_celery_beat_periodictask WHERE name = 'Nightly cleanup'"
    ) == [(0,)]
