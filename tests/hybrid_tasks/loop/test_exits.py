"""Whatever a task raises is its own: no loop ends by it."""

import asyncio
import signal
from typing import Any

import pytest
from django.tasks import TaskResultStatus

from hybrid_tasks.backends.eventloop import EventLoopBackend, serve
from hybrid_tasks.execution.attempt import Attempt
from hybrid_tasks.execution.calling import call
from hybrid_tasks.results import states
from hybrid_tasks.tasks import task
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.contract.waiting import finished

RAISED = {
    kind.__name__: kind
    for kind in (
        KeyboardInterrupt,
        SystemExit,
        MemoryError,
        GeneratorExit,
        asyncio.CancelledError,
        BaseException,
        BaseExceptionGroup,
    )
}
every_kind = pytest.mark.parametrize("name", RAISED)
both_ways = pytest.mark.parametrize("how", ["coroutine", "thread"])


def raised(name: str) -> BaseException:
    kind: Any = RAISED[name]
    return kind("several", [KeyboardInterrupt()]) if kind is BaseExceptionGroup else kind("bad")


@task(max_attempts=3, backoff=tasks.at_once)
async def raise_it(name: str) -> None:
    raise raised(name)


@task(max_attempts=3, backoff=tasks.at_once)
def raise_it_sync(name: str) -> None:
    raise raised(name)


def enqueue_and_wait(how: str, name: str) -> tuple[Any, Any]:
    one = raise_it if how == "coroutine" else raise_it_sync
    result, after = one.enqueue(name), tasks.plain.enqueue("alive")
    return result, after


def assert_failed_by(result: Any, name: str) -> None:
    assert result.status == TaskResultStatus.FAILED
    assert result.errors[-1].exception_class is RAISED[name]
    is_tried_again = issubclass(RAISED[name], Exception | asyncio.CancelledError)
    assert result.attempts == (3 if is_tried_again else 1)


@pytest.mark.usefixtures("only_loop")
@every_kind
@both_ways
async def test_a_servers_loop_goes_on(how: str, name: str) -> None:
    """P3: KeyboardInterrupt raised by a task stopped the server's loop."""
    async with serve():
        result, after = await asyncio.to_thread(enqueue_and_wait, how, name)
        assert_failed_by(await finished(result), name)
        assert (await finished(after)).return_value == "alive"


@pytest.mark.usefixtures("only_loop")
@every_kind
@both_ways
async def test_a_private_loop_goes_on(how: str, name: str) -> None:
    """P3: and it killed a private loop."""
    result, after = await asyncio.to_thread(enqueue_and_wait, how, name)
    assert_failed_by(await finished(result), name)
    assert (await finished(after)).return_value == "alive"


def test_a_persons_interrupt_is_heard_after_it_has_failed_the_task() -> None:
    """P3: where nobody else takes Ctrl-C, it may be one, and leaves; the task has its end."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    saved: list[Any] = []
    result = states.make(raise_it_sync, ["KeyboardInterrupt"], {}, "default")
    attempt = Attempt(result, worker_id="test", sender=EventLoopBackend, save=saved.append)
    try:
        with pytest.raises(KeyboardInterrupt):
            call(attempt)
    finally:
        signal.signal(signal.SIGINT, before)
    assert saved[-1].status == TaskResultStatus.FAILED
