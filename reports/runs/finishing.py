"""The end of a run: its numbers are checked, and the staff are told."""

import logging

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.files.base import ContentFile
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

from hybrid_tasks.databases import release_connections
from reports.document import pdf
from reports.models import CustomerReport, ReportRun
from reports.periods import Period
from reports.runs.overview import Unreconciled, overview, reconcile

logger = logging.getLogger(__name__)

NAMED = 20  # failures in the mail; the page has all


def finish(run: ReportRun) -> None:
    """Check the numbers of a run whose chunks are all done, tell the staff, and end it.

    Raises Unreconciled if they do not add up, when the run has failed, for all to see. Cut off and
    called again, it tells the staff a second time rather than not at all.
    """
    if run.state != ReportRun.State.FINISHING:
        return
    period = Period.parse(run.period)
    try:
        reconcile(period)
    except Unreconciled as error:
        tell_staff(run, f"FAILED: reports of {run.label}", "failed", error=str(error))
        end(run, ReportRun.State.FAILED, str(error))
        raise
    document = pdf.render(overview(period), pdf.STAFF, [f"{line}." for line in figures(run)])
    run.summary.save(f"{run.period}/summary.pdf", ContentFile(document), save=False)
    tell_staff(run, f"Reports of {run.label}", "summary", document=document)
    end(run, ReportRun.State.FINISHED)


def end(run: ReportRun, state: ReportRun.State, error: str = "") -> None:
    run.state, run.error, run.finished = state, error, timezone.now()
    run.save(update_fields=["state", "error", "finished", "summary"])
    logger.info("Run of %s: %s; %d done, %d failed", run.period, state, run.done, run.failed)


def figures(run: ReportRun) -> list[str]:
    """Return in words how the run went."""
    states = CustomerReport.State
    count = {state: run.reports.filter(state=state).count() for state in states}
    return [
        pdf.counted(run.total, "customer"),
        f"{count[states.SENT]:,} reports mailed, {count[states.KEPT]:,} made without a mail",
        f"{count[states.FAILED]:,} failed, {count[states.UNKNOWN]:,} perhaps mailed",
    ]


def tell_staff(
    run: ReportRun, subject: str, template: str, *, document: bytes = b"", error: str = ""
) -> None:
    """Mail the staff, with the summary if there is one. Raises OSError."""
    to = staff_addresses()
    if not to:
        logger.warning("No staff has an email address: nobody is told of %s", run)
        return
    amiss = run.reports.filter(state__in=CustomerReport.AMISS).select_related("customer")
    context = {
        "run": run,
        "error": error,
        "figures": figures(run),
        "amiss": amiss.order_by("pk")[:NAMED],
        "url": settings.SITE_URL + reverse("reports:run", args=[run.period]),
    }
    message = EmailMultiAlternatives(
        subject, render_to_string(f"reports/mail/{template}.txt", context), to=to
    )
    if document:
        message.attach(f"summary-{run.period}.pdf", document, "application/pdf")
    release_connections()  # the mail server may take its time
    message.send()


def staff_addresses() -> list[str]:
    staff = get_user_model().objects.filter(is_staff=True, is_active=True).exclude(email="")
    return list(staff.order_by("pk").values_list("email", flat=True))
