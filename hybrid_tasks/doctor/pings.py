"""Sends a task through each backend and waits until it is back."""

import asyncio
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from hybrid_tasks.backends.eventloop import EventLoopBackend, workers
from hybrid_tasks.doctor.lines import Line, bad, well
from hybrid_tasks.doctor.tasks import ping_for, queue_of
from hybrid_tasks.doctor.words import milliseconds

LOOK_SECONDS = 0.01  # between two looks at the result
WITHDRAW_SECONDS = 4.0  # that it may take to withdraw a task that does not come back


def part_of(backend: Any) -> str:
    return f"task by {backend.alias!r}"


def send_to_worker(
    backend: Any, queue: str, seconds: float, advice: str, way: str = ""
) -> Iterator[Line]:
    """Send a task on its way to a worker, by whatever backend; yield whether it came back.

    Arguments:
        way: how the backend comes to use a worker, for the table.
    """
    part, token, began = part_of(backend) + way, uuid.uuid4().hex, time.monotonic()
    result: Any = ping_for(backend, queue).enqueue(token)
    while not result.is_finished and time.monotonic() - began < seconds:
        time.sleep(LOOK_SECONDS)
        result = backend.get_result(result.id)
    if result.is_finished:
        yield judged(part, result, token, time.monotonic() - began, advice)
        return
    with suppress(Exception):  # nobody would want it later; what is wrong is told already
        backend.cancel(result.id)
    yield bad(part, f"sent to queue {queue!r}, it was not back within {seconds:g} s", advice)


def run_here(backend: EventLoopBackend, seconds: float) -> Iterator[Line]:
    """Run a task on a loop of this process, as web processes do; yield whether that worked."""
    yield asyncio.run(run_on_loop(backend, seconds))


async def run_on_loop(backend: EventLoopBackend, seconds: float) -> Line:
    here, part = workers(), f"{part_of(backend)} (loop)"
    token, began = uuid.uuid4().hex, time.monotonic()
    worker = backend.new_worker()
    worker.open()
    served = here.get(backend.alias)
    here[backend.alias] = worker
    try:
        async with asyncio.timeout(seconds):
            result: Any = await ping_for(backend, queue_of(backend)).aenqueue(token)
            while not result.is_finished:
                await asyncio.sleep(LOOK_SECONDS)
                result = await backend.aget_result(result.id)
        took = time.monotonic() - began
    finally:
        if served is None:
            del here[backend.alias]
        else:
            here[backend.alias] = served
        await worker.close()
    advice = "See what is said of the settings and the cache."
    return judged(part, result, token, took, advice)


def judged(part: str, result: Any, token: str, took: float, advice: str) -> Line:
    """Return the line of a task that has ended."""
    if result.status == "SUCCESSFUL" and result.return_value == token:
        ran = result.worker_ids[-1] if result.worker_ids else "nobody"
        return well(part, f"ran in {ran} and was back after {milliseconds(took)}")
    why = result.errors[-1].exception_class_path if result.errors else "with another value"
    return bad(part, f"came back as {result.status}: {why}", advice)
