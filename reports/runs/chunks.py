"""The work of one chunk: each customer's report built, kept and mailed.

Nobody is to get two mails. So a report is marked as being mailed, and that is committed, just
before the mail server is asked, and as mailed right after its answer. What is found so marked was
being mailed when its worker died: it is not sent again by itself, unless an archive proves that the
mail server did not accept it.
"""

import hashlib
import logging
from collections.abc import Callable
from typing import Any

from celery.exceptions import SoftTimeLimitExceeded
from django.core.files.base import ContentFile
from django.utils import timezone

from reports.document import pdf
from reports.document.builder import Report, build
from reports.document.rows import Buyer, buyers
from reports.models import CustomerReport, ReportChunk
from reports.periods import Period
from reports.runs.mailer import Mailer, MailRefused, message_id, was_accepted, write_mail
from reports.storage import report_name, report_storage

logger = logging.getLogger(__name__)

State = CustomerReport.State

DIED = "Its worker died while it was mailed: it may or may not have arrived."
LOST = "The connection was lost while it was mailed: it may or may not have arrived."
NO_ORDERS = "There are no orders any more."
STEP = 20  # customers after which the progress is told

type Tell = Callable[[int, int], None]  # (customers done, customers of the chunk)


def make_chunk(chunk: ReportChunk, tell: Tell) -> tuple[int, int]:
    """Make and mail what is left to do of a chunk; return how many are done and how many failed.

    A customer whose report cannot be made stops no other. Raises OSError if the mail server cannot
    be reached; then it can be called again and goes on.
    """
    CustomerReport.require_storage()
    resolve_interrupted(chunk)
    period = Period.parse(chunk.run.period)
    pending = {report.customer_id: report for report in chunk.reports.filter(state=State.PENDING)}
    finished = chunk.size - len(pending)
    with Mailer() as mailer:
        for buyer in buyers(period, list(pending)):
            make_report(pending.pop(buyer.pk), buyer, period, mailer)
            finished += 1
            if finished % STEP == 0:
                tell(finished, chunk.size)
    for report in pending.values():
        change(report, State.PENDING, State.FAILED, error=NO_ORDERS)
    tell(chunk.size, chunk.size)
    return (
        chunk.reports.filter(state__in=CustomerReport.DONE).count(),
        chunk.reports.filter(state__in=CustomerReport.AMISS).count(),
    )


def resolve_interrupted(chunk: ReportChunk) -> None:
    """Decide on the mails that were on their way when the attempt before was cut off."""
    for report in chunk.reports.filter(state=State.SENDING):
        accepted = was_accepted(message_id(report), report.state_since)
        if accepted:
            change(report, State.SENDING, State.SENT, sent_at=report.state_since)
        elif accepted is None:
            change(report, State.SENDING, State.UNKNOWN, error=DIED)
        else:
            change(report, State.SENDING, State.PENDING)


def make_report(report: CustomerReport, buyer: Buyer, period: Period, mailer: Mailer) -> None:
    """Build, keep and mail one report, or note why that was not possible."""
    try:
        built = build(buyer.name, period, buyer.lines)
        document = pdf.render(built)
        kept = keep(report, built, document)
        message = write_mail(report, buyer, document) if buyer.wants_mail else None
    except SoftTimeLimitExceeded:
        raise  # the chunk's time is up, which is no fault of this customer
    except Exception as error:
        logger.exception("Report %s of customer %s cannot be made", report.period, buyer.pk)
        change(report, State.PENDING, State.FAILED, error=f"{type(error).__name__}: {error}")
        return
    if message is None:
        change(report, State.PENDING, State.KEPT, **kept)
        return
    mailer.make_ready()
    if not change(report, State.PENDING, State.SENDING, **kept):
        return  # somebody else is at it
    try:
        mailer.send(message)
    except MailRefused as error:
        logger.warning("Report %s of customer %s: %s", report.period, buyer.pk, error)
        change(report, State.SENDING, State.FAILED, error=str(error))
    except OSError:
        change(report, State.SENDING, State.UNKNOWN, error=LOST)
        raise
    else:
        change(report, State.SENDING, State.SENT, sent_at=timezone.now())


def keep(report: CustomerReport, built: Report, document: bytes) -> dict[str, Any]:
    """Put a report's file into the storage; return what its row is to say of it."""
    report.orders, report.items = built.now.orders, built.now.items
    report.total = built.now.total
    name = report_name(report.period, report.pk)
    report.file.name = report_storage().save(name, ContentFile(document))
    return {
        "orders": report.orders,
        "items": report.items,
        "total": report.total,
        "file": report.file.name,
        "checksum": hashlib.sha256(document).hexdigest(),
        "missing_since": None,
    }


def change(report: CustomerReport, before: State, after: State, **fields: Any) -> bool:
    """Change a report's state if it is still what it was; return whether it was."""
    fields = {"error": "", **fields}
    won = CustomerReport.objects.filter(pk=report.pk, state=before).update(
        state=after, state_since=timezone.now(), **fields
    )
    return bool(won)
