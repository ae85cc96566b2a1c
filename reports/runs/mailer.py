"""The mails with the reports, and the one connection over which a chunk sends them."""

import mailbox
from contextlib import suppress
from datetime import datetime, timedelta
from email.utils import parseaddr
from pathlib import Path
from smtplib import (
    SMTPException,
    SMTPNotSupportedError,
    SMTPRecipientsRefused,
    SMTPResponseException,
)
from types import TracebackType
from typing import Any, NoReturn, Self

from django.conf import settings
from django.core import signing
from django.core.mail import EmailMessage, EmailMultiAlternatives, get_connection
from django.core.mail.backends.smtp import EmailBackend as SmtpBackend
from django.template.loader import render_to_string
from django.urls import reverse

from hybrid_tasks.databases import release_connections
from meats.money import money
from meats.ordering import unsubscribe_signer
from reports.document.rows import Buyer
from reports.models import CustomerReport

FOR_NOW, FOR_GOOD = 400, 500  # answers from the first up to the second may change (RFC 5321)
CLOCKS_APART = timedelta(minutes=5)

link_signer = signing.TimestampSigner(salt="reports.link")


class MailRefused(Exception):
    """The mail server has answered, or would, that it does not take this mail."""


class MailDeferred(Exception):
    """The mail server does not take this mail now, and perhaps does so later."""


def message_id(report: CustomerReport) -> str:
    """Return the Message-ID of a report's mail: the same whenever and however often it is sent.

    A report that is made anew has another one: mailboxes and archives know the first already.
    """
    domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2]
    edition = f"-{report.edition}" if report.edition > 1 else ""
    return f"<report-{report.period}-{report.pk}{edition}@{domain}>"


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
        "adjusted": money(report.adjusted) if report.adjusted else "",
        "whole": money(report.total + report.adjusted),
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


def require_address(address: str) -> None:
    """Raise MailRefused for an address that cannot be written down for a mail server.

    What is in the table came through forms of other versions, imports and consoles.
    """
    try:
        SmtpBackend().prep_address(address)
    except Exception as error:
        # The standard library's parser has bugs of its own, such as AttributeError.
        raise MailRefused(f"No mail can be sent to {address!r}: {error}") from error


class Mailer:
    """One connection to the mail server, for one mail after the other.

    While it waits for the server it holds no connection to the database.
    """

    def __init__(self) -> None:
        self._backend: Any = get_connection()
        self._away = ""

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
        """Connect, unless the server still answers.

        Raises MailDeferred if that cannot be done, and from then on at once: others are served
        meanwhile, instead of waiting for each mail of a server that is away.
        """
        if self._away:
            raise MailDeferred(self._away)
        release_connections()
        connection = getattr(self._backend, "connection", None)
        if connection is not None:
            with suppress(SMTPException, OSError):
                connection.noop()
                return
            self.hang_up()
        try:
            self._backend.open()
        except (OSError, ValueError) as error:  # the last for a host that is no name
            self._away = f"The mail server cannot be reached: {error}"
            raise MailDeferred(self._away) from error

    def hang_up(self) -> None:
        """Let the connection go, in whatever state it is."""
        with suppress(SMTPException, OSError):
            self._backend.close()
        self._backend.connection = None

    def send(self, message: EmailMessage) -> None:
        """Send a message over a connection that was made ready.

        Raises MailRefused or MailDeferred if the server did not take it; any other exception
        leaves open whether it did.
        """
        release_connections()
        try:
            sent = self._backend.send_messages([message])
        except SMTPRecipientsRefused as error:
            # One mail has one recipient.
            ((code, text),) = error.recipients.values()
            refuse(error, "the address", code, text)
        except SMTPResponseException as error:
            refuse(error, "the mail", error.smtp_code, error.smtp_error)
        except (ValueError, SMTPNotSupportedError) as error:  # before the server was told of it
            self.hang_up()
            raise MailRefused(f"The mail cannot be sent: {error}") from error
        if not sent:
            raise MailRefused("The mail cannot be sent: it has no recipient.")


def refuse(error: SMTPException, what: str, code: int, text: bytes | str) -> NoReturn:
    """Raise what an answer of the mail server means.

    421 is an answer about this mail, too: it was not taken, and the next one gets a connection of
    its own.
    """
    if code < FOR_NOW:  # no answer at all, but for smtplib
        raise error
    said = answer(code, text)
    if code < FOR_GOOD:
        raise MailDeferred(f"The mail server refused {what} for now: {said}") from error
    raise MailRefused(f"The mail server refused {what}: {said}") from error


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
