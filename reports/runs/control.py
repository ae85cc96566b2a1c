"""What people and schedules do to runs: start, retry, decide. `feeding` does the rest."""

from collections.abc import Collection
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from meats.models import Customer
from reports.document import rows
from reports.models import CustomerReport, ReportRun
from reports.periods import Period
from reports.runs.feeding import Feeder, is_adding_up, locked


class PeriodRefused(ValueError):
    """No reports can be made of this period; the message says why."""


def check_period(period: Period) -> None:
    """Raise PeriodRefused unless `period` is over and not older than what is kept."""
    now = timezone.now()
    if period.ends > now:
        raise PeriodRefused(
            f"{period.label} is not over: it ends on {period.after:%-d %B %Y} at 00:00 UTC."
        )
    if (now - period.ends).days >= settings.KEEP_REPORTS_DAYS:
        raise PeriodRefused(
            f"{period.label} is too long ago: what was sent is remembered for"
            f" {settings.KEEP_REPORTS_DAYS} days."
        )


def start(period: Period, feeder: Feeder) -> ReportRun:
    """Start the run of a period, or let it go on; return it.

    What is made and mailed stays so. Starting it anew makes reports for customers who had none, and
    takes up what was given up when its tasks ran out of attempts. Raises PeriodRefused.
    """
    check_period(period)
    found, _ = ReportRun.objects.get_or_create(period=str(period))
    with transaction.atomic():
        run = locked(found.pk)
        if not is_adding_up(run):
            run.total = rows.count_customers(period)
            run.cursor = 0
            set_going(run)
            feeder.resume_abandoned(run)
            feeder.feed(run)
    return run


def set_going(run: ReportRun) -> None:
    """Let a run that has not begun or has ended run. The caller holds its lock."""
    now = timezone.now()
    if run.state != ReportRun.State.RUNNING:
        run.state, run.finished, run.error = ReportRun.State.RUNNING, None, ""
        run.resumed, run.done_before = now, run.done
    run.started = run.started or now
    run.save()


def go_on(run: ReportRun, feeder: Feeder) -> None:
    """Have the pending reports of a run made, and it added up again. The caller holds its lock.

    A run that was never started stays so: it is about the customers who were asked for.
    """
    if run.state == ReportRun.State.NEW:
        run.save()
    else:
        set_going(run)
    feeder.feed(run)


def start_customer(period: Period, customer: Customer, feeder: Feeder) -> CustomerReport:
    """Have the report of one customer made, unless it is there; return its row.

    Raises PeriodRefused, also for a customer without orders in the period.
    """
    check_period(period)
    if not rows.customers_in(period).filter(pk=customer.pk).exists():
        raise PeriodRefused(f"{customer} ordered nothing in {period.label}.")
    found, _ = ReportRun.objects.get_or_create(period=str(period))
    with transaction.atomic():
        run = locked(found.pk)
        report, is_new = CustomerReport.objects.get_or_create(
            customer=customer, period=run.period, defaults={"run": run}
        )
        if is_new:
            run.total = rows.count_customers(period)
            go_on(run, feeder)
    return report


def retry(run: ReportRun, feeder: Feeder, **chosen: Any) -> int:
    """Make the reports again that failed, or of these the `chosen` ones; return how many."""
    chosen = chosen or {"state": CustomerReport.State.FAILED}
    with transaction.atomic():
        run = locked(run.pk)
        # Those of an open chunk are not counted yet.
        amiss = run.reports.filter(state__in=CustomerReport.AMISS, chunk__finished__isnull=False)
        count = amiss.filter(**chosen).update(**anew())
        if count:
            run.failed -= count
            go_on(run, feeder)
    return count


def remake(run: ReportRun, feeder: Feeder, reports: Collection[int], *, mail: bool) -> int:
    """Make those of the `reports` anew that have ended, with a mail or without; return how many.

    What orders and adjustments are now is what they tell; a mail says that it replaces the last
    one. Those of which nobody knows whether they were mailed are left out: that is decided first.
    """
    fields = anew() | {"edition": F("edition") + 1, "without_mail": not mail}
    with transaction.atomic():
        run = locked(run.pk)
        # Those of an open chunk are not counted yet.
        ended = run.reports.filter(pk__in=reports, chunk__finished__isnull=False)
        failed = ended.filter(state=CustomerReport.State.FAILED).update(**fields)
        done = ended.filter(state__in=CustomerReport.DONE).update(**fields)
        if done or failed:
            run.done, run.failed = run.done - done, run.failed - failed
            go_on(run, feeder)
    return done + failed


def anew() -> dict[str, Any]:
    """Return what the row of a report says that is to be made."""
    return {
        "state": CustomerReport.State.PENDING,
        "state_since": timezone.now(),
        "chunk": None,
        "error": "",
        "tries": 0,
        "not_before": None,
    }


def settle(report: CustomerReport, feeder: Feeder, *, arrived: bool) -> bool:
    """Say of a mail that was perhaps sent that it arrived, or send it again.

    Returns whether that was still open.
    """
    state = CustomerReport.State
    if not arrived:
        return bool(retry(report.run, feeder, pk=report.pk, state=state.UNKNOWN))
    with transaction.atomic():
        run = locked(report.run_id)
        changed = run.reports.filter(
            pk=report.pk, state=state.UNKNOWN, chunk__finished__isnull=False
        ).update(state=state.SENT, sent_at=F("state_since"), state_since=timezone.now(), error="")
        if changed:
            run.done, run.failed = run.done + 1, run.failed - 1
            run.save(update_fields=["done", "failed"])
    return bool(changed)
