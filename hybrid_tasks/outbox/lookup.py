"""What the row of a task says of its state: the last resort of a look-up."""

from concurrent.futures import ThreadPoolExecutor

from django.core.exceptions import SynchronousOnlyOperation
from django.db import DatabaseError, connections

from hybrid_tasks.outbox import table
from hybrid_tasks.results import states
from hybrid_tasks.results.task_result import TaskResult


def from_row(result_id: str) -> TaskResult | None:
    """Return the result of a task as far as its row knows it; None without a (readable) row.

    Raises DatabaseError.
    """
    row = table.rows([result_id]).first()
    if row is None:
        return None
    try:
        result = states.decode(row.message)
    except (ImportError, ValueError, TypeError, KeyError):
        return None
    if result.is_finished:
        return result
    told = states.attempted(result, row.attempts)
    runs = row.state == table.CLAIMED and row.attempts > result.attempts
    return states.running(told) if runs else told


def from_row_if_there(result_id: str) -> TaskResult | None:
    """See from_row(); a database that is away, or has no such table, knows no row.

    Sync code that looks up on an event loop holds that up, as it does for the cache.
    """
    try:
        return from_row(result_id)
    except DatabaseError:
        return None
    except SynchronousOnlyOperation:
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(from_row_apart, result_id).result()


def from_row_apart(result_id: str) -> TaskResult | None:
    """See from_row_if_there(), in a thread of its own."""
    try:
        return from_row(result_id)
    except DatabaseError:
        return None
    finally:
        connections.close_all()
