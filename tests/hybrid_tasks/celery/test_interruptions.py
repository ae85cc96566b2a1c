"""Signals that reach a task in a worker, wherever they land."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.tasks import TaskResultStatus

from hybrid_tasks.celery.attempts import Interruptions, WorkerAttempt, make_attempt
from hybrid_tasks.exceptions import TaskInterrupted
from hybrid_tasks.results import states
from hybrid_tasks.results.store import ResultStore
from hybrid_tasks.results.task_result import TaskResult
from hybrid_tasks.tasks import task
from tests.hybrid_tasks import tasks

LONG = 60.0  # seconds, more than the signal takes
SOON = 0.2
SOFT, EXIT = signal.SIGUSR1, signal.SIGTERM

caught: list[str] = []


@task(max_attempts=3, backoff=tasks.at_once)
async def sleep() -> None:
    await asyncio.sleep(LONG)


@task(max_attempts=3, backoff=tasks.at_once)
async def compute() -> None:
    """Keep the loop, so that the signal lands in the coroutine."""
    end = time.monotonic() + LONG
    while time.monotonic() < end:
        pass


@task(max_attempts=3, backoff=tasks.at_once)
async def clean_up() -> None:
    try:
        await asyncio.sleep(LONG)
    finally:
        caught.append("cleaned up")


@task(max_attempts=3, backoff=tasks.at_once)
def sleep_sync() -> None:
    time.sleep(LONG)


@task
def settle_for_less() -> str:
    """Celery's own way to stop in time."""
    try:
        time.sleep(LONG)
    except SoftTimeLimitExceeded:
        return "half of it"
    return "all of it"


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """The handlers of a pool process."""

    def exceed(*_: Any) -> None:
        raise SoftTimeLimitExceeded

    def leave(*_: Any) -> None:
        raise SystemExit

    before = {number: signal.getsignal(number) for number in (SOFT, EXIT)}
    signal.signal(SOFT, exceed)
    signal.signal(EXIT, leave)
    caught.clear()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def attempt_at(one: Any) -> WorkerAttempt:
    result = states.make(one.using(backend="celery"), [], {}, "celery")
    attempt = WorkerAttempt(
        result,
        store=ResultStore("default", 1000),
        tell=lambda _: None,
        worker_id="worker@test",
        sender=object,
    )
    attempt.begin()
    return attempt


def made(one: Any, number: int = SOFT) -> WorkerAttempt:
    """Make an attempt which a signal interrupts."""
    attempt = attempt_at(one)
    timer = threading.Timer(SOON, os.kill, (os.getpid(), number))
    timer.start()
    make_attempt(attempt)
    timer.join()
    return attempt


@pytest.mark.parametrize("one", [sleep, compute, clean_up, sleep_sync], ids=lambda it: it.name)
def test_the_soft_limit_is_a_timeout_wherever_it_lands(outbox: str, one: Any) -> None:
    """C13: in the loop's own code it came out as CancelledError, after one attempt of three."""
    attempt = made(one)
    assert attempt.delay == 0.0
    assert [error.exception_class for error in attempt.result.errors] == [TimeoutError]
    assert "took longer than its worker's time limit" in attempt.result.errors[0].traceback
    assert not attempt.exits
    assert caught == (["cleaned up"] if one is clean_up else [])


def test_a_task_may_stop_in_time_by_itself(outbox: str) -> None:
    attempt = made(settle_for_less)
    assert attempt.result.return_value == "half of it"


@pytest.mark.parametrize("one", [sleep, clean_up, sleep_sync], ids=lambda it: it.name)
def test_an_exit_interrupts_it_and_is_known_as_one(outbox: str, one: Any) -> None:
    attempt = made(one, EXIT)
    assert attempt.exits
    assert attempt.stop is TaskInterrupted
    assert attempt.result.status == TaskResultStatus.READY


def test_the_soft_limit_does_not_interrupt_the_bookkeeping(
    outbox: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes while the end is stored: the task has succeeded."""

    def end(_store: ResultStore, _result: TaskResult) -> bool:
        os.kill(os.getpid(), SOFT)
        return True

    monkeypatch.setattr(ResultStore, "end", end)
    attempt = attempt_at(tasks.echo_sync)
    make_attempt(attempt)
    assert attempt.result.status == TaskResultStatus.SUCCESSFUL


def test_a_limit_that_is_over_before_the_beginning_counts(outbox: str) -> None:
    attempt = attempt_at(sleep_sync)
    with Interruptions(attempt) as interruptions:
        os.kill(os.getpid(), SOFT)
        with attempt, interruptions.allowed():
            caught.append("began")
    assert attempt.delay == 0.0
    assert caught == []


def test_handlers_are_given_back(outbox: str) -> None:
    before = [signal.getsignal(number) for number in (SOFT, EXIT)]
    make_attempt(attempt_at(tasks.echo_sync))
    assert [signal.getsignal(number) for number in (SOFT, EXIT)] == before


def test_threads_do_without(outbox: str) -> None:
    """As in a worker with a pool of threads, which cannot be interrupted."""
    attempt = attempt_at(tasks.echo_sync)
    thread = threading.Thread(target=make_attempt, args=(attempt,))
    thread.start()
    thread.join()
    assert attempt.result.status == TaskResultStatus.SUCCESSFUL
