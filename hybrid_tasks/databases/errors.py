"""Which errors say that a database is away, or cannot do now what it could do later."""

from django.db import InterfaceError, OperationalError

# The client of MySQL and MariaDB raises OperationalError for all that it has no class for. That is
# right for a lost connection (2006, 2013), a deadlock (1213), a lock that was not had in time
# (1205), a full disk or a server that shuts down. These say that the statement is wrong, or what is
# in it, and will be as wrong the next time.
OF_THE_STATEMENT = frozenset(
    {
        1054,  # unknown column: a migration is missing
        1136,  # other than as many values as columns
        1142,  # this user may not write to the table
        1143,  # nor to the column
        1153,  # more than max_allowed_packet
        1267,  # collations that cannot be compared
        1292,  # a value that is none of its type
        1300,  # a string that is none in its character set
        1364,  # a column without a default
        1366,  # a character that the column's character set lacks
        1665,  # statement-based replication without REPEATABLE READ
        2020,  # 1153, as the client says it
    }
)


def is_away(error: BaseException) -> bool:
    """Return whether the statement may succeed as it is when it is tried again later."""
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    code = error.args[0] if error.args else None
    return not (isinstance(code, int) and code in OF_THE_STATEMENT)
