"""The database busy or away: a 503 that asks to come back, and not a 500."""

import logging
import sqlite3

from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.utils.deprecation import MiddlewareMixin

from hybrid_tasks.exceptions import OutboxUnavailable
from meats.responses import unavailable

logger = logging.getLogger(__name__)

TEXT = "Too much is going on right now: please try again in a moment."

# Classes of SQLSTATE that speak of the moment and not of the statement; see
# https://www.postgresql.org/docs/current/errcodes-appendix.html.
PASSING = {
    "08",  # the connection was lost, or never made
    "40",  # a deadlock
    "53",  # too many connections; no memory, no disk
    "55",  # a lock that was not had within lock_timeout
    "57",  # statement_timeout; the server shuts down or starts
    "58",  # the server's own trouble, such as with its disk
}
PASSING_ON_SQLITE = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_CANTOPEN}


def will_pass(error: Exception) -> bool:
    """Return whether the same request may well succeed soon: the database is busy or away."""
    if isinstance(error, OutboxUnavailable):
        return True
    if not isinstance(error, OperationalError):
        return False
    cause = error.__cause__
    if isinstance(cause, sqlite3.Error):
        code = getattr(cause, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        return code & 0xFF in PASSING_ON_SQLITE  # the rest of the code says more exactly why
    # Without a state: no connection was to be had, from the pool or at all.
    state = getattr(cause, "sqlstate", None)
    return state is None or state[:2] in PASSING


class UnavailableMiddleware(MiddlewareMixin):
    """Answers 503 where a view found no connection to the database, or lost it."""

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """See Django's."""
        if not will_pass(error):
            return None
        logger.warning("%s %s is answered with 503: %s", request.method, request.path, error)
        return unavailable(request, text=TEXT)
