"""How long to wait before another attempt, and when to give up."""

import random
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import aiosmtplib
import httpx
from django.conf import settings

from hybrid_tasks.tasks import TaskResult

# Answers to RCPT and DATA, by RFC 5321, 7504 (556) and postfix (501: an address it cannot parse).
FINAL_CODES = {501, 550, 551, 552, 553, 554, 556}
# With the same codes servers refuse who is sending: by policy (RFC 3463: X.7.X), or to relay.
OF_US = re.compile(r"\b5\.7\.\d|relay|rcpthosts", re.IGNORECASE)

MAX_RETRY_AFTER = 3600.0  # seconds that a partner may make us wait


def patient(_exception: BaseException, result: TaskResult) -> float:
    """Return seconds that grow fourfold: five attempts outlast an outage of some minutes."""
    longest: float = settings.RETRY_SECONDS * 4 ** (result.attempts - 1)
    return random.uniform(longest / 2, longest)  # noqa: S311


def for_mail(exception: BaseException, result: TaskResult) -> float | None:
    """Give up where the mail server does not want the recipient, or the message, for good.

    What it has against us (a password that was changed, our sender, relaying) a person may mend
    while we go on trying.
    """
    refusals = (
        exception.recipients
        if isinstance(exception, aiosmtplib.SMTPRecipientsRefused)
        else [exception]
    )
    return None if all(map(is_final, refusals)) else patient(exception, result)


def is_final(refusal: BaseException) -> bool:
    """Return whether a mail server's answer will be the same at any other time."""
    return (
        isinstance(refusal, (aiosmtplib.SMTPRecipientRefused, aiosmtplib.SMTPDataError))
        and refusal.code in FINAL_CODES
        and not OF_US.search(refusal.message)
    )


def for_partner(exception: BaseException, result: TaskResult) -> float | None:
    """Retry what may pass: no answer, 429 and 5xx; as late as the partner asks, if it does."""
    if not isinstance(exception, httpx.HTTPStatusError):
        return patient(exception, result)
    status = exception.response.status_code
    if status != HTTPStatus.TOO_MANY_REQUESTS and status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return None
    asked = retry_after(exception.response.headers.get("Retry-After", ""))
    return max(patient(exception, result), min(asked, MAX_RETRY_AFTER))


def retry_after(header: str) -> float:
    """Return the seconds that a Retry-After header asks for, a number or a date; 0 for neither."""
    if header.isdecimal():
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return 0.0
    return (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
