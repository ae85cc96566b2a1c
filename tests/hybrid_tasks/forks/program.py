"""A program that uses tasks before, in and after a fork. It ends with 0 if all of them ran.

Arguments: the ways to fork, in turn.
"""

import asyncio
import multiprocessing
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import django
from django.core.management import call_command
from django.db import connections

from tests.processes import wait_until

SECONDS = 30.0


def run_all() -> None:
    """Enqueue tasks of all kinds, and wait until each has run in this very process."""
    from tests.hybrid_tasks.forks import tasks

    results: list[Any] = [task.enqueue() for task in tasks.ALL for _ in range(3)]
    for result in results:
        wait_until(partial(finished, result), f"{result}", SECONDS)
        assert result.return_value == os.getpid(), result
    wait_until(no_rows, "the rows are removed", SECONDS)


def finished(result: Any) -> bool:
    result.refresh()
    return bool(result.is_finished)


def no_rows() -> bool:
    from hybrid_tasks.outbox import table

    there = table.rows().exists()
    connections.close_all()
    return not there


async def serve_all() -> None:
    """Do the same on a server's loop."""
    from hybrid_tasks.backends.eventloop import serve

    async with serve():
        await asyncio.to_thread(run_all)


def by_multiprocessing(target: Callable[[], None]) -> None:
    """Fork, and wait until the child has ended by itself."""
    child = multiprocessing.get_context("fork").Process(target=target)
    child.start()
    child.join(2 * SECONDS)
    if child.is_alive():
        child.kill()
        raise AssertionError("the child does not end")
    assert child.exitcode == 0, child.exitcode


def by_os(target: Callable[[], None]) -> None:
    """Fork as servers with `--preload` do; the child exits as any program does."""
    pid = os.fork()
    if pid == 0:
        target()
        sys.exit(0)
    ended: list[int] = []

    def has_ended() -> bool:
        reaped, status = os.waitpid(pid, os.WNOHANG)
        ended.extend([status] if reaped else [])
        return bool(reaped)

    wait_until(has_ended, "the child ends", 2 * SECONDS)
    assert ended == [0], ended


def twice(target: Callable[[], None]) -> None:
    """Fork a child that forks."""
    by_multiprocessing(lambda: (target(), by_multiprocessing(target)))  # type: ignore[func-returns-value, arg-type, return-value]


WAYS: dict[str, Callable[[], None]] = {
    "multiprocessing": lambda: by_multiprocessing(run_all),
    "os": lambda: by_os(run_all),
    "served": lambda: by_os(lambda: asyncio.run(serve_all())),
    "twice": lambda: twice(run_all),
}


def main() -> None:
    django.setup()
    call_command("migrate", verbosity=0)
    connections.close_all()
    if "unused" not in sys.argv:
        run_all()
    for way in sys.argv[1:]:
        if way in WAYS:
            WAYS[way]()
    run_all()
    sys.stdout.write("all ran\n")


if __name__ == "__main__":
    main()
