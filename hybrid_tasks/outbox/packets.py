"""How long a statement MySQL and MariaDB take: `max_allowed_packet`.

One that is longer ends the connection, which mostly looks as if the server had gone away. So it is
not sent.
"""

from typing import Any

from django.db import DataError, connections

from hybrid_tasks.outbox.table import alias

MIB = 2**20
SURELY = MIB // 4  # bytes that each server takes which passes the checks
RESERVE = MIB // 4  # bytes that are left for the errors of attempts, by which a message grows
REST = 8 * 1024  # bytes of a statement beside its message, or of another row

LIMITED = "mysql"  # the vendor


def weight(message: str) -> int:
    """Return about how many bytes a row with this message takes in a statement, and not less."""
    escaped = message.count('"') + message.count("\\") + message.count("'")
    return len(message.encode()) + escaped + REST


def fitting(message: str) -> str:
    """Return `message` if a statement can hold it; else raise DataError."""
    connection = connections[alias()]
    if connection.vendor == LIMITED:
        refuse_too_heavy(connection, weight(message))
    return message


def refuse_too_heavy(connection: Any, size: int, reserve: int = 0) -> None:
    """Raise DataError if the server takes no statement of `size` bytes with `reserve` more."""
    if size <= SURELY:
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@max_allowed_packet")
        (limit,) = cursor.fetchone()
    if size + reserve > limit:
        raise DataError(
            f"The task takes {(size + reserve) / MIB:.1f} MiB in a statement, with room for its"
            f" errors, and the database at most {limit / MIB:g} MiB: give the task less, or raise"
            " max_allowed_packet on the server."
        )
