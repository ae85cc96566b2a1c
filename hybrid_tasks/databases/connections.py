"""Giving database connections back before a long wait, and a thread's own beside a pool."""

from asgiref.sync import sync_to_async
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper


def release_connections() -> None:
    """Give back the database connections of this thread; the next query opens or fetches one.

    Call it before something takes long: before a task sleeps or calls out, before a view returns a
    response that streams. Django itself does so only when the request, or the attempt, has ended.
    With a pool the connection goes back to it; without one it is closed, whatever CONN_MAX_AGE is.

    What lives in a connection ends with it, such as an iterator() or aiterator() half-way. A test
    case keeps those that hold its transaction. Raises TransactionManagementError inside of any
    other transaction, which would end in its midst; nothing is given back then.
    """
    opened = [each for each in connections.all(initialized_only=True) if each.connection]
    for connection in opened:
        if is_in_transaction(connection):
            raise transaction.TransactionManagementError(
                f"The connection {connection.alias!r} is in a transaction, which needs it: leave"
                " the atomic block before you wait."
            )
    for connection in opened:
        if not connection.in_atomic_block:
            connection.close()


async def arelease_connections() -> None:
    """See release_connections(): those of the thread in which this task or request has its ORM."""
    await sync_to_async(release_connections)()


def is_in_transaction(connection: BaseDatabaseWrapper) -> bool:
    """Return whether a transaction is open that no test case has opened around its test."""
    if connection.in_atomic_block:
        return not all(getattr(block, "_from_testcase", False) for block in blocks_of(connection))
    return not connection.autocommit


def blocks_of(connection: BaseDatabaseWrapper) -> list[transaction.Atomic]:
    blocks: list[transaction.Atomic] = connection.atomic_blocks
    return blocks


def leave_pool(alias: str) -> None:
    """Let this thread have a connection of its own, beside the pool of its process if it has one.

    For a thread that others wait for: they may hold all connections of the pool meanwhile.
    """
    pooled = connections[alias]
    if pooled.settings_dict["OPTIONS"].get("pool"):
        own = pooled.copy()
        del own.settings_dict["OPTIONS"]["pool"]
        connections[alias] = own
