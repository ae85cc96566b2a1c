"""The mails with the reports, and the one connection over which a chunk sends them."""

import mailbox
from contextlib import suppress
from datetime import datetime, timedelta
from email.utils import parseaddr
from pathlib import Path
from smtplib import SMTPException, SMTPRecipientsRefused, SMTPResponseException
from types import TracebackType
from typing import Any, Self

from django.conf import settings
from django.core import signing
from django.core.mail import EmailMessage, EmailMultiAlternatives, get_connection
from django.template.loader import render_to_string
from django.urls import reverse

from hybrid_tasks.databases import release_connections
from meats.ordering import unsubscribe_signer
from reports.document.pdf import money
from reports.document.rows import Buyer
from reports.models import CustomerReport

SERVICE_GONE = 421  # the only answer that is about the connection and not about the mail
CLOCKS_APART = timedelta(minutes=5)

link_signer = signing.TimestampSigner(salt="reports.link")


class MailRefused(Exception):
    """The mail server has answered that it does not take this mail."""


def message_id(report: CustomerReport) -> str:
    """Return the Message-ID of a report's mail: the same whenever and however often it is sent."""
    domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2]
    return f"<report-{report.period}-{report.pk}@{domain}>"


def own_url(report: CustomerReport) -> str:
    """Return the address at which the customer can open the report for REPORT_LINK_DAYS."""
    return settings.SITE_URL + reverse("reports:own", args=[link_signer.sign(str(report.pk))])


def write_mail(report: CustomerReport, buyer: Buyer, pdf: bytes) -> EmailMessage:
    """Return the mail with a report to its customer."""
    unsubscribe = settings.SITE_URL + reverse(
        "meats:unsubscribe", args=[unsubscribe_signer.sign(str(buyer.pk))]
    )
    context = {
        "buyer": buyer,
        "report": report,
        "total": money(report.total),
        "url": own_url(report),
        "days": settings.REPORT_LINK_DAYS,
        "unsubscribe_url": unsubscribe,
    }
    message = EmailMultiAlternatives(
        f"Your {report.label} at the smokehouse",
        render_to_string("reports/mail/report.txt", context),
        to=[buyer.email],
        headers={
            "Message-ID": message_id(report),
            "List-Unsubscribe": f"<{unsubscribe}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        },
    )
    message.attach_alternative(render_to_string("reports/mail/report.html", context), "text/html")
    message.attach(f"smokehouse-{report.period}.pdf", pdf, "application/pdf")
    return message


class Mailer:
    """One connection to the mail server, for one mail after the other.

    While it waits for the server it holds no connection to the database.
    """

    def __init__(self) -> None:
        self._backend: Any = get_connection()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._backend.close()

    def make_ready(self) -> None:
        """Connect, unless the server still answers. Raises OSError; SMTPException is one."""
        release_connections()
        connection = getattr(self._backend, "connection", None)
        if connection is not None:
            with suppress(SMTPException, OSError):
                connection.noop()
                return
            with suppress(SMTPException, OSError):
                self._backend.close()
            self._backend.connection = None
        self._backend.open()

    def send(self, message: EmailMessage) -> None:
        """Send a message over a connection that was made ready.

        Raises MailRefused if the server said no; any other OSError leaves open whether it has
        accepted the mail.
        """
        release_connections()
        try:
            self._backend.send_messages([message])
        except SMTPRecipientsRefused as error:
            answers = "; ".join(answer(*given) for given in error.recipients.values())
            raise MailRefused(f"The mail server refused the address: {answers}") from error
        except SMTPResponseException as error:
            if error.smtp_code == SERVICE_GONE:
                raise
            said = answer(error.smtp_code, error.smtp_error)
            raise MailRefused(f"The mail server refused the mail: {said}") from error


def answer(code: int, text: bytes | str) -> str:
    return f"{code} {text.decode(errors='replace') if isinstance(text, bytes) else text}"


def was_accepted(message: str, since: datetime) -> bool | None:
    """Return whether the archive holds the mail of this Message-ID; None if there is no archive.

    Only what was filed since then, or a little before, is looked at.
    """
    if not settings.MAIL_ARCHIVE:
        return None
    earliest = (since - CLOCKS_APART).timestamp()
    archive = Path(settings.MAIL_ARCHIVE)
    files = (path for folder in ("new", "cur") for path in (archive / folder).glob("*"))
    return any(
        mailbox.MaildirMessage(path.read_bytes())["Message-ID"] == message
        for path in files
        if path.stat().st_mtime >= earliest
    )
