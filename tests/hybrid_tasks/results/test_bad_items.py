"""One result that cannot be kept holds up no other."""

import logging
from dataclasses import dataclass
from typing import Any

import pytest
from django.core.cache import caches
from django.tasks import TaskResultStatus

from hybrid_tasks.backends.eventloop import serve
from hybrid_tasks.results import states
from hybrid_tasks.results.recorder import recorder
from hybrid_tasks.results.store import ResultStore
from hybrid_tasks.results.task_result import TaskResult
from hybrid_tasks.tasks import task
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.contract.waiting import finished
from tests.hybrid_tasks.outbox.on_loop import enqueue
from tests.processes import PATIENCE

STORE = ResultStore("default", 60)
TOO_MANY_DIGITS = 10**5000  # json refuses to write more than 4,300


@dataclass(frozen=True, eq=True)
class Unhashable:
    """A backoff that no cache can have as a key."""

    steps: Any

    def __call__(self, _exception: BaseException, _result: Any) -> float:
        return 0.0


@task
async def return_too_many_digits() -> int:
    return TOO_MANY_DIGITS


@task(max_attempts=2, backoff=Unhashable([1, 2]))
async def wait_by_an_object() -> str:
    return "done"


def succeeded(value: Any) -> TaskResult:
    ready = states.make(tasks.echo, [], {}, "default")
    return states.succeeded(states.started(ready, "a worker"), value)


def test_a_value_that_cannot_be_encoded_loses_itself_only(caplog: pytest.LogCaptureFixture) -> None:
    """C1: json refuses 10**5000, and fifty other results must not wait for it."""
    one = recorder()
    failed = one.failed
    bad, good = succeeded(TOO_MANY_DIGITS), [succeeded(number) for number in range(50)]
    for result in (*good[:25], bad, *good[25:]):
        one.record(STORE, result)
    assert one.flush(PATIENCE)
    kept = {result.id: STORE.load(result.id).return_value for result in good}
    assert kept == {result.id: result.return_value for result in good}
    assert caches["default"].get(f"hybrid_tasks:result:{bad.id}") is None
    assert one.failed == failed + 1
    assert [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR] == [
        f"hybrid-tasks-recorder cannot write {bad.id}"
    ]


@pytest.mark.usefixtures("only_loop")
async def test_a_return_value_that_cannot_be_encoded_fails_its_task_openly() -> None:
    """C1: it is encoded where it is returned, not in a thread that many share."""
    async with serve():
        bad = await enqueue(return_too_many_digits)
        good = await enqueue(tasks.plain, "ribs")
        await finished(bad)
        assert (await finished(good)).return_value == "ribs"
    assert bad.status == TaskResultStatus.FAILED
    assert bad.errors[0].exception_class is TypeError
    assert "The return value cannot be JSON" in bad.errors[0].traceback


@pytest.mark.usefixtures("only_loop")
async def test_a_backoff_without_a_hash_is_as_good_as_any() -> None:
    """C1: the text of a task is cached by the task, which its backoff must not forbid."""
    async with serve():
        result = await finished(await enqueue(wait_by_an_object))
    assert result.return_value == "done"
    again = states.decode(states.encode(result))
    assert again.task.backoff == wait_by_an_object.backoff  # type: ignore[attr-defined]
