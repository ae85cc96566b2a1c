"""The work of one chunk: each customer's report built, kept and mailed.

Nobody is to get two mails. So a report is marked as being mailed, and that is committed, just
before the mail server is asked, and as mailed right after its answer. What is found so marked was
being mailed when its worker died: it is not sent again by itself, unless an archive proves that the
mail server did not accept it.

Whatever goes wrong with one customer ends with a state and a reason of that report. What the mail
server does not take for now leaves the chunk, and the run gives it to a later one.
"""

import hashlib
import logging
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.mail import EmailMessage
from django.utils import timezone

from reports.document import pdf
from reports.document.builder import NOTHING, Report, build
from reports.document.rows import Buyer, buyers
from reports.models import CustomerReport, ReportChunk
from reports.periods import Period
from reports.runs.mailer import (
    MailDeferred,
    Mailer,
    MailRefused,
    message_id,
    require_address,
    was_accepted,
    write_mail,
)
from reports.storage import report_name, report_storage

logger = logging.getLogger(__name__)

State = CustomerReport.State

DIED = "Its worker died while it was mailed: it may or may not have arrived."
LOST = "The connection was lost while it was mailed: it may or may not have arrived."
NO_ORDERS = "There are no orders any more."
# A report that could not be made counts for nothing, also if an earlier one was.
UNMADE: dict[str, Any] = {
    "orders": 0,
    "items": 0,
    "total": NOTHING,
    "adjusted": NOTHING,
    "checksum": "",
}
STEP = 20  # customers after which the progress is told
# After these the chunk ends and the rest becomes another one's: well before the task's timeout, for
# a mail server may take a minute for each mail.
SECONDS = 600
LONGEST_REASON = 500

type Tell = Callable[[int, int], None]  # (customers done, customers of the chunk)


def make_chunk(chunk: ReportChunk, tell: Tell) -> tuple[int, int]:
    """Make and mail what is left to do of a chunk; return how many are done and how many failed.

    Those that are to be tried again later are neither, and no longer the chunk's. Cut off, it can
    be called again and goes on. Raises StorageAway.
    """
    CustomerReport.require_storage()
    resolve_interrupted(chunk)
    period = Period.parse(chunk.run.period)
    reports = {report.customer_id: report for report in chunk.reports.all()}
    pending = {key: report for key, report in reports.items() if report.state == State.PENDING}
    finished = len(reports) - len(pending)
    ends = time.monotonic() + SECONDS
    with Mailer() as mailer:
        for buyer in buyers(period, list(pending)):
            finished += make_report(pending.pop(buyer.pk), buyer, period, mailer)
            if finished % STEP == 0:
                tell(finished, chunk.size)
            if time.monotonic() > ends:
                chunk.reports.filter(state=State.PENDING).update(chunk=None)
                break
        else:
            for report in pending.values():
                change(report, State.PENDING, State.FAILED, error=NO_ORDERS, **UNMADE)
    done = chunk.reports.filter(state__in=CustomerReport.DONE).count()
    failed = chunk.reports.filter(state__in=CustomerReport.AMISS).count()
    tell(done + failed, chunk.size)
    return done, failed


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


def make_report(report: CustomerReport, buyer: Buyer, period: Period, mailer: Mailer) -> bool:
    """Build, keep and mail one report, or note why that was not possible.

    Returns False if it is to be tried again later.
    """
    made = made_ready(report, buyer, period)
    if made is None:
        return True
    kept, message = made
    if message is None:
        change(report, State.PENDING, State.KEPT, **kept)
        return True
    return mail_report(report, message, kept, mailer)


def made_ready(
    report: CustomerReport, buyer: Buyer, period: Period
) -> tuple[dict[str, Any], EmailMessage | None] | None:
    """Build and keep a report, or note why that was not possible.

    Returns what its row is to say, and its mail if one is wanted.
    """
    try:
        built = build(buyer.name, period, buyer.lines, buyer.adjustments)
        document = pdf.render(built)
        kept = keep(report, built, document)
        wants_mail = buyer.wants_mail and not report.without_mail
        message = write_mail(report, buyer, document) if wants_mail else None
    except SoftTimeLimitExceeded:
        raise  # the chunk's time is up, which is no fault of this customer
    except Exception as error:
        logger.exception("Report %s of customer %s cannot be made", report.period, buyer.pk)
        reason = f"{type(error).__name__}: {error}"
        change(report, State.PENDING, State.FAILED, error=reason, **UNMADE)
        return None
    return kept, message


def mail_report(
    report: CustomerReport, message: EmailMessage, kept: dict[str, Any], mailer: Mailer
) -> bool:
    """Mail a report that is kept, or note why that was not possible.

    Returns False if it is to be tried again later.
    """
    try:
        require_address(message.to[0])
        mailer.make_ready()
    except MailRefused as error:
        fail(report, State.PENDING, error, **kept)
        return True
    except MailDeferred as error:
        return defer(report, State.PENDING, error, **kept)
    if not change(report, State.PENDING, State.SENDING, **kept):
        return True  # somebody else is at it
    try:
        mailer.send(message)
    except MailRefused as error:
        fail(report, State.SENDING, error)
    except MailDeferred as error:
        return defer(report, State.SENDING, error)
    except SoftTimeLimitExceeded:
        raise  # as if it had been killed
    except Exception:
        logger.exception(
            "Report %s of customer %s: perhaps mailed", report.period, report.customer_id
        )
        mailer.hang_up()
        return leave_open(report)
    else:
        change(report, State.SENDING, State.SENT, sent_at=timezone.now())
    return True


def fail(report: CustomerReport, before: State, error: MailRefused, **kept: Any) -> None:
    """Note that the mail of a report cannot be sent."""
    logger.warning("Report %s of customer %s: %s", report.period, report.customer_id, error)
    change(report, before, State.FAILED, error=str(error), **kept)


def defer(report: CustomerReport, before: State, error: MailDeferred, **kept: Any) -> bool:
    """Have a report mailed again later; after the last of REPORT_TRIES it has failed.

    Returns whether it has.
    """
    logger.warning("Report %s of customer %s: %s", report.period, report.customer_id, error)
    tries = report.tries + 1
    if tries >= settings.REPORT_TRIES:
        reason = f"{error} (tried {tries} times)"
        change(report, before, State.FAILED, error=reason, tries=tries, **kept)
        return True
    wait = timedelta(seconds=settings.REPORT_RETRY_SECONDS * 4**report.tries)
    later = {"chunk": None, "tries": tries, "not_before": timezone.now() + wait}
    change(report, before, State.PENDING, error=str(error), **later, **kept)
    return False


def leave_open(report: CustomerReport) -> bool:
    """Note that nobody knows whether a mail was accepted; return whether it stays so.

    If there is an archive, a later chunk looks into it, when it has what was accepted until now.
    """
    if not settings.MAIL_ARCHIVE:
        return change(report, State.SENDING, State.UNKNOWN, error=LOST)
    wait = timedelta(seconds=settings.REPORT_RETRY_SECONDS)
    CustomerReport.objects.filter(pk=report.pk, state=State.SENDING).update(
        chunk=None, not_before=timezone.now() + wait, error=LOST
    )
    return False


def keep(report: CustomerReport, built: Report, document: bytes) -> dict[str, Any]:
    """Put a report's file into the storage; return what its row is to say of it."""
    report.orders, report.items = built.now.orders, built.now.items
    report.total, report.adjusted = built.now.total, built.now.adjusted
    name = report_name(report.period, report.pk)
    report.file.name = report_storage().save(name, ContentFile(document))
    return {
        "orders": report.orders,
        "items": report.items,
        "total": report.total,
        "adjusted": report.adjusted,
        "file": report.file.name,
        "checksum": hashlib.sha256(document).hexdigest(),
        "missing_since": None,
    }


def change(report: CustomerReport, before: State, after: State, **fields: Any) -> bool:
    """Change a report's state if it is still what it was; return whether it was."""
    error = readable(fields.pop("error", ""))
    won = CustomerReport.objects.filter(pk=report.pk, state=before).update(
        state=after, state_since=timezone.now(), error=error, **fields
    )
    return bool(won)


def readable(reason: str) -> str:
    """Return what others have written as it can be kept: PostgreSQL takes no NUL."""
    shown = "".join(letter if letter.isprintable() else " " for letter in reason)
    return shown[:LONGEST_REASON]
