"""Which errors say that a database is away, or cannot do now what it could do later."""

from collections.abc import Callable

from django.db import InterfaceError, OperationalError, connections

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


TRIES = 5  # of a transaction that others get in the way of


def is_deadlock(error: BaseException) -> bool:
    """Return whether a transaction was undone so that another, which waited for it, can go on."""
    code = error.args[0] if error.args else None
    return code == 1213 or getattr(error.__cause__, "sqlstate", None) == "40P01"


def through_deadlocks[T](alias: str, transaction: Callable[[], T]) -> T:
    """Return what `transaction` returns, which is begun again when it was undone by a deadlock.

    They are an ordinary event where many change rows of one table, on MySQL above all. Inside of a
    transaction of the caller's, which is undone with it, the error is the caller's.
    """
    for _ in range(TRIES - 1):
        try:
            return transaction()
        except OperationalError as error:
            if connections[alias].in_atomic_block or not is_deadlock(error):
                raise
    return transaction()
