"""What each step makes of a result, and the text that other versions and processes read."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from traceback import format_exception
from typing import Any

import pytest
from django.tasks import TaskResultStatus
from django.tasks.base import TaskError

from hybrid_tasks.exceptions import TaskCancelled, ValueTooLarge
from hybrid_tasks.results import states
from hybrid_tasks.results.task_result import TaskResult
from hybrid_tasks.runtime import Clock, Runtime, use
from tests.hybrid_tasks import tasks

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LONG = "x" * 300  # longer than what surely passes


class Stopped(Clock):
    """A clock that shows one time until a test sets it."""

    time = NOON

    def now(self) -> datetime:
        return self.time


@pytest.fixture(autouse=True)
def clock() -> Iterator[Stopped]:
    stopped = Stopped()
    with use(Runtime(threads=False, clock=stopped)):
        yield stopped


@pytest.fixture
def ready(clock: Stopped) -> TaskResult:
    return states.make(tasks.succeed_at, [1], {"key": 2}, "default")


def changed(new: TaskResult, old: TaskResult) -> dict[str, Any]:
    """Return what is different in `new`."""
    before, after = vars_of(old), vars_of(new)
    return {name: value for name, value in after.items() if value != before[name]}


def vars_of(result: TaskResult) -> dict[str, Any]:
    names = ("task", "id", "status", "enqueued_at", "started_at", "finished_at", "backend", "args")
    more = ("kwargs", "last_attempted_at", "errors", "worker_ids", "metadata", "generation")
    return {name: getattr(result, name) for name in (*names, *more, "_return_value")}


# --- Steps ----------------------------------------------------------------------------------------


def test_what_is_enqueued_is_ready() -> None:
    task = tasks.echo.using(metadata={"origin": "test"})
    args, kwargs = (1, [2]), {"key": {"a": "b"}}
    made = states.make(task, args, kwargs, "an alias")
    assert vars_of(made) == {
        "task": task,
        "id": made.id,
        "status": TaskResultStatus.READY,
        "enqueued_at": NOON,
        "started_at": None,
        "finished_at": None,
        "last_attempted_at": None,
        "args": [1, [2]],
        "kwargs": {"key": {"a": "b"}},
        "backend": "an alias",
        "errors": [],
        "worker_ids": [],
        "metadata": {"origin": "test"},
        "generation": 0,
        "_return_value": None,
    }
    assert len(made.id) == len(bytes.fromhex(made.id)) * 2 == 32
    assert made.id != states.make(task, args, kwargs, "an alias").id


def test_what_is_not_given_is_empty() -> None:
    made = states.make(tasks.plain, (), {}, "default")
    assert (made.args, made.kwargs, made.metadata) == ([], {}, {})


@pytest.mark.parametrize(
    ("args", "kwargs", "metadata", "what"),
    [
        ([LONG], {}, {}, "The list of arguments takes"),
        ([], {"key": LONG}, {}, "The keyword arguments takes"),
        ([], {}, {"key": LONG}, "The metadata takes"),
    ],
)
def test_what_is_too_large_is_named(
    args: list[Any], kwargs: dict[str, Any], metadata: dict[str, Any], what: str
) -> None:
    task = tasks.echo.using(metadata=metadata)
    with pytest.raises(ValueTooLarge, match=f"^{what}"):
        states.make(task, args, kwargs, "default", limit=100)
    assert states.make(task, args, kwargs, "default", limit=400)


def test_only_what_has_a_time_to_wait_for_waits(ready: TaskResult) -> None:
    def delay(run_after: datetime | None) -> float:
        return states.delay_of(
            states.make(tasks.echo.using(run_after=run_after), [], {}, "default")
        )

    assert states.delay_of(ready) == 0.0
    assert delay(NOON + MINUTE) == 60.0
    assert delay(NOON - MINUTE) == -60.0


def test_a_task_with_a_row_is_durable(ready: TaskResult) -> None:
    durable = states.as_durable(ready)
    assert changed(durable, ready) == {"task": tasks.succeed_at.using(durable=True)}
    assert states.as_durable(durable) is durable


def test_each_attempt_that_begins_is_noted(ready: TaskResult, clock: Stopped) -> None:
    first = states.started(ready, "one")
    assert changed(first, ready) == {
        "status": TaskResultStatus.RUNNING,
        "started_at": NOON,
        "last_attempted_at": NOON,
        "worker_ids": ["one"],
    }
    clock.time += MINUTE
    second = states.started(first, "other")
    assert changed(second, first) == {
        "last_attempted_at": NOON + MINUTE,
        "worker_ids": ["one", "other"],
    }


def test_attempts_that_nobody_told_of_are_counted(ready: TaskResult) -> None:
    once = states.started(ready, "one")
    assert states.attempted(once, 3).worker_ids == ["one", "unknown", "unknown"]
    assert changed(states.attempted(ready, 1), ready) == {"worker_ids": ["unknown"]}
    assert states.attempted(once, 1) is once
    assert states.attempted(once, 0) is once


def test_what_runs_somewhere_is_running(ready: TaskResult) -> None:
    assert changed(states.running(ready), ready) == {"status": TaskResultStatus.RUNNING}


def test_a_time_that_has_come_is_no_more(ready: TaskResult) -> None:
    later = states.delayed(ready, 60.0)
    assert changed(later, ready).keys() == {"task"}
    assert later.task.run_after == NOON + MINUTE
    assert changed(states.come_due(later), ready) == {}
    assert states.come_due(ready) is ready


def test_only_what_is_to_wait_is_delayed(ready: TaskResult) -> None:
    assert states.delayed(ready, 0.5).task.run_after == NOON + timedelta(seconds=0.5)
    for seconds in (0.0, -1.0):
        assert states.delayed(ready, seconds) is ready


def test_a_success_has_a_value_and_a_time(ready: TaskResult) -> None:
    assert changed(states.succeeded(ready, [3]), ready) == {
        "status": TaskResultStatus.SUCCESSFUL,
        "finished_at": NOON,
        "_return_value": [3],
    }


def test_errors_add_up_until_the_last_one(ready: TaskResult, clock: Stopped) -> None:
    again = states.to_retry(states.running(ready), ValueError("first"))
    assert again.status == TaskResultStatus.READY
    assert changed(again, ready).keys() == {"errors"}
    clock.time += MINUTE
    failed = states.failed(again, KeyError("second"))
    assert changed(failed, again).keys() == {"status", "finished_at", "errors"}
    assert (failed.status, failed.finished_at) == (TaskResultStatus.FAILED, NOON + MINUTE)
    assert failed.errors[:-1] == again.errors
    assert [error.exception_class for error in failed.errors] == [ValueError, KeyError]
    assert [error.traceback for error in failed.errors] == [
        "ValueError: first\n",
        "KeyError: 'second'\n",
    ]


def test_only_a_last_error_says_that_it_was_cancelled(ready: TaskResult) -> None:
    cancelled = states.to_retry(ready, TaskCancelled())
    assert states.was_cancelled(cancelled)
    assert states.was_cancelled(
        states.to_retry(states.failed(ready, ValueError()), TaskCancelled())
    )
    assert not states.was_cancelled(states.failed(cancelled, ValueError()))
    assert not states.was_cancelled(ready)


def test_an_error_is_told_with_what_it_came_of() -> None:
    error = ValueError("second")
    error.__cause__ = KeyError("first")
    told = states.task_error(error).traceback
    assert told == "".join(format_exception(error))
    assert told.startswith("KeyError: 'first'\n")


class Inner:
    class Unspeakable(Exception):
        """Not even what it came of can be had."""

        @property
        def __cause__(self) -> BaseException:  # type: ignore[override]
            raise LookupError("no cause")


def test_an_error_whose_text_cannot_be_had_is_named_with_the_reason() -> None:
    told = states.task_error(Inner.Unspeakable())
    assert told == TaskError(
        exception_class_path=f"{__name__}.Inner.Unspeakable",
        traceback="Inner.Unspeakable, whose traceback cannot be told: <class 'LookupError'>\n",
    )


@pytest.mark.parametrize("missing", [-1, 0, 1, 7, 1000])
def test_of_a_long_text_beginning_and_end_are_kept(missing: int) -> None:
    half = states.TRACEBACK_LIMIT // 2
    begin, end = "a" * half, "z" * half
    if missing <= 0:
        text = (begin + end)[: states.TRACEBACK_LIMIT + missing]
        assert states.shortened(text) == text
    else:
        told = states.shortened(begin + "m" * missing + end)
        assert told == f"{begin}\n... {missing} characters are left out ...\n{end}"


# --- Text -----------------------------------------------------------------------------------------

TEXT = {
    "rank": "0029999992",
    "task": {
        "path": "tests.hybrid_tasks.tasks.succeed_at",
        "priority": 7,
        "queue_name": "default",
        "run_after": "2026-05-04T12:00:00+00:00",
        "max_attempts": 4,
        "timeout": 2.5,
        "backoff": "tests.hybrid_tasks.tasks.never",
        "durable": True,
    },
    "id": "0123456789abcdef",
    "status": "SUCCESSFUL",
    "backend": "celery",
    "enqueued_at": "2026-05-04T12:01:00+00:00",
    "started_at": "2026-05-04T12:02:00+00:00",
    "finished_at": "2026-05-04T12:04:00+00:00",
    "last_attempted_at": "2026-05-04T12:03:00+00:00",
    "args": [1, "ä"],
    "kwargs": {"key": None},
    "errors": [["builtins.ValueError", "ValueError: first\n"]],
    "worker_ids": ["one", "other"],
    "metadata": {"progress": {"done": 1}},
    "return_value": [2**70, "\ud800"],
    "generation": 2,
}


def full(ready: TaskResult) -> TaskResult:
    """Return a result of which no attribute is as it was at first: it says what TEXT says."""
    task = tasks.succeed_at.using(
        priority=7, run_after=NOON, max_attempts=4, timeout=2.5, backoff=tasks.never, durable=True
    )
    return states.advance(
        ready,
        task=task.using(backend="celery"),
        id="0123456789abcdef",
        status=TaskResultStatus.SUCCESSFUL,
        backend="celery",
        enqueued_at=NOON + MINUTE,
        started_at=NOON + 2 * MINUTE,
        last_attempted_at=NOON + 3 * MINUTE,
        finished_at=NOON + 4 * MINUTE,
        args=[1, "ä"],
        kwargs={"key": None},
        errors=[
            TaskError(exception_class_path="builtins.ValueError", traceback="ValueError: first\n")
        ],
        worker_ids=["one", "other"],
        metadata={"progress": {"done": 1}},
        _return_value=[2**70, "\ud800"],
        generation=2,
    )


def test_versions_that_run_beside_each_other_read_the_same_text(ready: TaskResult) -> None:
    """In a rolling deploy, or after it: a change of this text needs a way to read the old one."""
    encoded = states.encode(full(ready))
    assert json.loads(encoded) == TEXT
    assert states.encoded_rank(encoded) == TEXT["rank"]
    again = states.decode(json.dumps(TEXT))
    assert vars_of(again) == vars_of(full(ready))
    assert changed(states.advance(again), again) == {}


def test_what_is_not_so_yet_is_nothing_in_the_text() -> None:
    task = tasks.echo.using(backoff=lambda *_: 1.0)
    told = json.loads(states.encode(states.make(task, [], {}, "default")))
    assert told["task"] == {
        "path": "tests.hybrid_tasks.tasks.echo",
        "priority": 0,
        "queue_name": "default",
        "run_after": None,
        "max_attempts": 1,
        "timeout": None,
        "backoff": None,
        "durable": False,
    }
    assert (told["started_at"], told["finished_at"], told["return_value"]) == (None, None, None)
    assert states.decode(json.dumps(told)).started_at is None


def test_a_text_from_before_there_were_generations_is_of_the_first(ready: TaskResult) -> None:
    text = {name: value for name, value in TEXT.items() if name not in ("generation", "rank")}
    assert changed(states.decode(json.dumps(text)), full(ready)) == {"generation": 0}


@pytest.mark.parametrize(
    ("generation", "attempts", "status", "rank"),
    [
        (0, 0, "READY", "0000000001"),
        (0, 1, "RUNNING", "0000000010"),
        (12, 345, "READY", "0120003451"),
        (999, 1, "FAILED", "9999999992"),
        (1000, 2, "SUCCESSFUL", "9999999992"),
        (1000, 2, "READY", "9990000021"),
        (0, 1_000_000, "RUNNING", "0009999990"),
    ],
)
def test_ranks_have_their_order_as_texts_too(
    generation: int, attempts: int, status: str, rank: str, ready: TaskResult
) -> None:
    result = states.advance(
        ready,
        generation=generation,
        worker_ids=["one"] * attempts,
        status=TaskResultStatus(status),
    )
    assert states.encode_rank(result) == rank
    assert states.is_end(rank) is (status in ("FAILED", "SUCCESSFUL"))


@pytest.mark.parametrize("text", ["", "{}", '{"task":{"path":"a.b"}}', '{"rank":"00a0000001"}'])
def test_a_text_without_a_rank_came_before_all_that_have_one(text: str, ready: TaskResult) -> None:
    assert states.encoded_rank(text) == ""
    assert states.may_replace(states.encode(ready), text)
    assert not states.may_replace(text, states.encode(ready))
    assert states.may_replace(text, text)


# --- Of tasks whose code is not here --------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "rank"),
    [(None, 1, "0010000001"), (2, 3, "0030000001"), (998, 999, "9990000001"),
     (999, 1000, "9990000001")],
)  # fmt: skip
def test_what_is_run_again_begins_a_new_life(before: int | None, after: int, rank: str) -> None:
    dead: dict[str, Any] = TEXT | {"status": "FAILED", "generation": before}
    if before is None:
        del dead["generation"], dead["rank"]
    again = states.revived(dead)
    assert again == TEXT | {
        "rank": rank,
        "status": "READY",
        "worker_ids": [],
        "started_at": None,
        "finished_at": None,
        "generation": after,
    }
    assert next(iter(again)) == "rank"  # where it is looked for in the text


@pytest.mark.parametrize(
    ("generation", "rank"),
    [(None, "0009999992"), (2, "0029999992"), (1000, "9999999992")],
)
def test_what_cannot_be_run_ends_with_the_reason(generation: int | None, rank: str) -> None:
    ready: dict[str, Any] = TEXT | {"status": "READY", "finished_at": None}
    ready["generation"] = generation
    if generation is None:
        del ready["generation"], ready["rank"]
    text = states.encode_failed(ready, ImportError("gone"))
    assert json.loads(text) == ready | {
        "rank": rank,
        "status": "FAILED",
        "finished_at": "2026-05-04T12:00:00+00:00",
        "errors": [*ready["errors"], ["builtins.ImportError", "ImportError: gone\n"]],
    }
    assert states.encoded_rank(text) == rank
