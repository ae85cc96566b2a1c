"""The end of a run: its numbers are compared, it is closed, and the staff are told.

A run can always be closed. Where the reports differ from the orders it says by how much and for
whom, and people decide what to do about it.
"""

import logging
from contextlib import suppress

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.files.base import ContentFile
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.urls import reverse

from hybrid_tasks.databases import release_connections
from reports.document import pdf
from reports.models import CustomerReport, ReportRun
from reports.periods import Period
from reports.runs.feeding import Feeder
from reports.runs.mailer import MailRefused, require_address
from reports.runs.overview import Unreconciled, overview, reconcile
from reports.storage import report_storage, summary_name

logger = logging.getLogger(__name__)

NAMED = 20  # failures in the mail; the page has all


def finish(run: ReportRun, finisher_id: str, feeder: Feeder) -> bool:
    """Compare the sums of a run whose chunks are all done and close it; return whether it is.

    It is not if the task `finisher_id` is no longer the one that adds up. Raises OSError if the
    summary cannot be stored.
    """
    if run.state != ReportRun.State.FINISHING or run.finisher_id != finisher_id:
        return False
    CustomerReport.require_storage()
    period = Period.parse(run.period)
    difference = ""
    try:
        reconcile(period)
    except Unreconciled as error:
        difference = str(error)
        logger.error("Run of %s: %s", run.period, difference)  # noqa: TRY400 - no traceback helps
    notes = [*(f"{line}." for line in figures(run)), *([difference] if difference else [])]
    document = pdf.render(overview(period), pdf.STAFF, notes)
    summary = report_storage().save(summary_name(run.period), ContentFile(document))
    closed = feeder.close_run(run.pk, finisher_id, summary=summary, error=difference)
    logger.info("Run of %s: %s", run.period, "closed" if closed else "goes on, so it is not closed")
    return closed


def figures(run: ReportRun) -> list[str]:
    """Return in words how the run went."""
    states = CustomerReport.State
    count = {state: run.reports.filter(state=state).count() for state in states}
    return [
        pdf.counted(run.total, "customer"),
        f"{count[states.SENT]:,} reports mailed, {count[states.KEPT]:,} made without a mail",
        f"{count[states.FAILED]:,} failed, {count[states.UNKNOWN]:,} perhaps mailed",
    ]


def tell_staff(run: ReportRun) -> None:
    """Mail the staff how a run has ended, with its summary. Raises OSError.

    Cut off and called again, it tells them a second time rather than not at all.
    """
    to = staff_addresses()
    if not to:
        logger.warning("No staff has an email address: nobody is told of %s", run)
        return
    amiss = run.reports.filter(state__in=CustomerReport.AMISS).select_related("customer")
    context = {
        "run": run,
        "figures": figures(run),
        "amiss": amiss.order_by("pk")[:NAMED],
        "url": settings.SITE_URL + reverse("reports:run", args=[run.period]),
    }
    subject = f"{'DIFFERENCE: ' if run.error else ''}Reports of {run.label}"
    message = EmailMultiAlternatives(
        subject, render_to_string("reports/mail/summary.txt", context), to=to
    )
    with suppress(FileNotFoundError, ValueError), run.summary.open() as file:
        message.attach(f"summary-{run.period}.pdf", file.read(), "application/pdf")
    release_connections()  # the mail server may take its time
    message.send()


def staff_addresses() -> list[str]:
    """Return the addresses of the staff, without those to which no mail can be sent."""
    staff = get_user_model().objects.filter(is_staff=True, is_active=True).exclude(email="")
    addresses = []
    for address in staff.order_by("pk").values_list("email", flat=True):
        try:
            require_address(address)
        except MailRefused as error:
            logger.warning("A member of the staff hears nothing: %s", error)
        else:
            addresses.append(address)
    return addresses
