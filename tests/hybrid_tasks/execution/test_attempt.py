"""What one attempt makes of what happens inside."""

import asyncio
import logging
import math
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.tasks import TaskResultStatus, signals

from hybrid_tasks import announcements
from hybrid_tasks.exceptions import TaskCancelled, TaskInterrupted, TaskLost, ValueTooLarge
from hybrid_tasks.execution import attempt as room
from hybrid_tasks.execution.attempt import Attempt, is_foreign, is_from_signal, seconds_of
from hybrid_tasks.results.task_result import TaskResult
from hybrid_tasks.results.values import LIMIT
from hybrid_tasks.tasks import LONGEST_SECONDS, TaskContext, task
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.execution.conftest import Make, Sender

READY, RUNNING = TaskResultStatus.READY, TaskResultStatus.RUNNING
FAILED, SUCCESSFUL = TaskResultStatus.FAILED, TaskResultStatus.SUCCESSFUL
LONG = "x" * 300  # longer than what surely passes
TOO_MANY_DIGITS = 10**5000  # json refuses to write more than 4,300


asked: list[BaseException] = []  # what the backoff was asked about


def after_a_while(exception: BaseException, task_result: Any) -> float:
    asked.append(exception)
    return 2.5 * len(task_result.worker_ids)


@task(max_attempts=3, backoff=after_a_while)
def thrice() -> None:
    """Is tried three times."""


@task(takes_context=True, metadata={"progress": {"done": 0}})
def tell(context: TaskContext, words: list[str], *, to: list[str]) -> None:
    """Has a context."""


@contextmanager
def heard(one: Any) -> Iterator[list[tuple[type, TaskResult]]]:
    """What a signal told, and whose it was."""
    told: list[tuple[type, TaskResult]] = []

    def hear(sender: type, task_result: TaskResult, **_kwargs: Any) -> None:
        told.append((sender, task_result))

    one.connect(hear)
    yield told
    one.disconnect(hear)


@contextmanager
def watched(attempt: Attempt) -> Iterator[Attempt]:
    """Make an attempt around a part of the test, whose own failures leave it."""
    failures: list[BaseException] = []
    with attempt as entered:
        try:
            yield entered
        except BaseException as error:  # noqa: BLE001 - the attempt would keep it
            failures.append(error)
    for failure in failures:
        raise failure


def run(attempt: Attempt, error: BaseException | None = None) -> Attempt:
    """Make an attempt in which a function returns "done", or raises `error`."""
    with attempt:
        if error is not None:
            raise error
        attempt.returned("done")
    return attempt


def kinds(result: TaskResult) -> list[type[BaseException]]:
    return [error.exception_class for error in result.errors]


# --- Before the call ------------------------------------------------------------------------------


def test_nothing_is_known_of_it_before_it_begins(make: Make, saved: list[TaskResult]) -> None:
    attempt = make(tasks.echo_sync)
    assert (attempt.delay, attempt.error, attempt.stop, attempt.thread) == (None, None, None, None)
    assert (attempt.timed_out, attempt.on_loop, attempt.ended) == (False, False, False)
    assert saved == []


def test_that_it_begins_is_saved_and_told(make: Make, saved: list[TaskResult]) -> None:
    attempt = make(tasks.echo_sync)
    with heard(signals.task_started) as told, watched(attempt) as entered:
        assert entered is attempt
        (running,) = saved
        assert (running.status, running.worker_ids) == (RUNNING, ["a worker"])
        assert told == [(Sender, running)]


def test_it_can_be_counted_without_being_told(make: Make, saved: list[TaskResult]) -> None:
    attempt = make(tasks.echo_sync)
    with heard(signals.task_started) as told:
        attempt.begin()
        assert (attempt.result.status, attempt.result.attempts) == (RUNNING, 1)
        assert (saved, told) == ([], [])
        assert attempt.announced() is attempt
        assert told == [(Sender, attempt.result)]


def test_arguments_are_copies_of_what_the_result_holds(make: Make) -> None:
    attempt = make(tasks.echo_sync, ["ribs"], sauce=["hot"])
    assert attempt.arguments == (["ribs"],)
    assert attempt.keywords == {"sauce": ["hot"]}
    attempt.arguments[0].append("wings")
    attempt.keywords["sauce"].append("mild")
    assert (attempt.result.args, attempt.result.kwargs) == ([["ribs"]], {"sauce": ["hot"]})
    without = make(tasks.echo_sync)
    assert (without.arguments, without.keywords) == ((), {})


def test_arguments_that_were_accepted_are_passed_on_whatever_the_limit_is_now(make: Make) -> None:
    attempt = make(tasks.echo_sync, LONG, sauce=LONG, limit=1)
    assert (attempt.arguments, attempt.keywords) == ((LONG,), {"sauce": LONG})


def test_a_context_comes_first_and_is_the_functions_own(make: Make) -> None:
    attempt = make(tell, ["hello"], to=["world"])
    context, words = attempt.arguments
    assert type(context) is TaskContext
    assert words == ["hello"]
    assert context.task_result == attempt.result
    assert context.task_result is not attempt.result
    context.metadata["progress"]["done"] = 1
    assert attempt.arguments[0].metadata is context.metadata
    assert attempt.result.metadata == {"progress": {"done": 0}}
    assert tell.metadata == {"progress": {"done": 0}}


def test_metadata_that_is_too_large_now_fails_before_it_begins(make: Make) -> None:
    large = tell.using(metadata={"notes": LONG})
    with pytest.raises(ValueTooLarge, match=r"^The metadata takes"):
        make(large, [], to=[], limit=100)
    make(tasks.echo_sync.using(metadata={"notes": LONG}), limit=100)  # which never asks for it


# --- What it returns and saves --------------------------------------------------------------------


def test_a_value_is_kept_as_json_gives_it_back(make: Make, saved: list[TaskResult]) -> None:
    attempt = make(tasks.echo_sync)
    with heard(signals.task_finished) as told, watched(attempt):
        attempt.returned({1: (2, 3)})
        assert attempt.result is saved[-1]  # its end is not told before it is left
    assert attempt.result is saved[-1]
    assert (attempt.result.status, attempt.result.return_value) == (SUCCESSFUL, {"1": [2, 3]})
    assert told == [(Sender, attempt.result)]
    assert (attempt.ended, attempt.delay, attempt.error) == (True, None, None)


@pytest.mark.parametrize(
    ("value", "kind", "says"),
    [
        (TOO_MANY_DIGITS, TypeError, "^The return value cannot be JSON"),
        (LONG, ValueTooLarge, "^The return value takes"),
    ],
    ids=["no JSON", "too large"],
)
def test_a_value_that_cannot_be_kept_is_named(
    value: Any, kind: type[Exception], says: str, make: Make
) -> None:
    attempt = make(tasks.echo_sync, limit=100)
    with watched(attempt), pytest.raises(kind, match=says):
        attempt.returned(value)
    make(tasks.echo_sync, limit=400).returned(LONG)


def test_there_is_a_limit_though_none_is_given(make: Make, saved: list[TaskResult]) -> None:
    given = make(tasks.echo_sync)
    attempt = Attempt(given.result, worker_id="a worker", sender=Sender, save=saved.append)
    attempt.returned("x" * (LIMIT - 2))  # with its quotes
    with pytest.raises(ValueTooLarge):
        attempt.returned("x" * (LIMIT - 1))


def test_metadata_can_be_read_as_soon_as_it_is_saved(make: Make, saved: list[TaskResult]) -> None:
    attempt = make(tell, [], to=[])
    with watched(attempt):
        context = attempt.arguments[0]
        context.metadata["progress"]["done"] = 1
        context.save_metadata()
        assert saved[-1] is attempt.result
        assert saved[-1].status == RUNNING
        assert saved[-1].metadata == {"progress": {"done": 1}}
        context.metadata["progress"]["done"] = 2
        assert saved[-1].metadata == {"progress": {"done": 1}}
        attempt.returned(None)
    assert (saved[-1].status, saved[-1].metadata) == (SUCCESSFUL, {"progress": {"done": 2}})
    context.metadata["progress"]["done"] = 3
    before = list(saved)
    context.save_metadata()
    assert saved == before
    assert attempt.result is saved[-1]


@pytest.mark.parametrize("how", ["save_metadata", "returned"])
def test_metadata_that_cannot_be_kept_is_named(
    how: str, make: Make, saved: list[TaskResult]
) -> None:
    attempt = make(tell, [], to=[], limit=100)
    with watched(attempt):
        context = attempt.arguments[0]
        save = context.save_metadata if how == "save_metadata" else lambda: attempt.returned(1)
        for value, kind, says in (
            (TOO_MANY_DIGITS, TypeError, "^The metadata cannot be JSON"),
            (LONG, ValueTooLarge, "^The metadata takes"),
        ):
            context.metadata["notes"] = value
            with pytest.raises(kind, match=says):
                save()
        assert len(saved) == 1


def test_what_returned_nothing_has_no_value(make: Make) -> None:
    with watched(make(tasks.echo_sync)) as attempt:
        pass
    assert (attempt.result.status, attempt.result.return_value) == (SUCCESSFUL, None)


def test_metadata_of_a_function_without_a_context_stays(make: Make) -> None:
    attempt = run(make(tasks.echo_sync.using(metadata={"origin": "test"})))
    assert attempt.result.metadata == {"origin": "test"}


# --- How it ends ----------------------------------------------------------------------------------


@pytest.mark.parametrize("attempts", [1, 2, 3])
def test_it_is_tried_as_often_as_it_may_be(
    attempts: int, make: Make, saved: list[TaskResult], caplog: pytest.LogCaptureFixture
) -> None:
    attempt, error = make(thrice), ValueError("not yet")
    for _ in range(attempts - 1):
        attempt.begin()
    asked.clear()
    with heard(signals.task_finished) as told:
        run(attempt, error)
    assert attempt.error is error
    assert asked == ([error] if attempts < 3 else [])
    assert attempt.result is saved[-1]
    assert (attempt.result.attempts, kinds(attempt.result)) == (attempts, [ValueError])
    if attempts < 3:
        assert (attempt.result.status, attempt.delay, told) == (READY, 2.5 * attempts, [])
        (logged,) = [one for one in caplog.records if one.name == "hybrid_tasks"]
        assert logged.levelno == logging.WARNING
        assert logged.getMessage() == (
            f"Task id={attempt.result.id} path={thrice.module_path}"
            f" attempt {attempts} of 3 failed, next in {2.5 * attempts} s"
        )
        assert logged.exc_info is not None
        assert logged.exc_info[1] is error
    else:
        assert (attempt.result.status, attempt.delay) == (FAILED, None)
        assert told == [(Sender, attempt.result)]
        assert "next in" not in caplog.text


def test_what_a_backoff_decides_or_raises_ends_it(make: Make) -> None:
    ended = run(make(tasks.give_up), ValueError("not yet"))
    assert (ended.result.status, ended.delay) == (FAILED, None)
    assert (kinds(ended.result), type(ended.error)) == ([ValueError], ValueError)
    broken = run(make(tasks.fail_with_broken_backoff), ValueError("not yet"))
    assert broken.result.status == FAILED
    assert type(broken.error) is not ValueError
    assert kinds(broken.result) == [type(broken.error)]


@pytest.mark.parametrize("kind", [SystemExit, BaseException, MemoryError, asyncio.CancelledError])
def test_only_exceptions_are_followed_by_another_attempt(
    kind: type[BaseException], make: Make
) -> None:
    attempt = run(make(thrice), kind("bad"))
    again = issubclass(kind, Exception | asyncio.CancelledError)
    assert attempt.result.status == (READY if again else FAILED)
    assert kinds(attempt.result) == [kind]


@pytest.mark.parametrize(
    ("timeout", "limit"), [(None, "its worker's time limit"), (2.5, "its timeout of 2.5 s")]
)
@pytest.mark.parametrize("one", [tasks.echo_sync, thrice], ids=["once", "thrice"])
def test_out_of_time_is_an_error_like_any_other(
    one: Any, timeout: float | None, limit: str, make: Make
) -> None:
    attempt = make(one.using(timeout=timeout))
    attempt.timed_out = True
    run(attempt, SystemExit("raised in the midst of it"))
    assert type(attempt.error) is TimeoutError
    assert str(attempt.error) == f"{one.module_path} took longer than {limit}."
    assert attempt.result.status == (READY if one is thrice else FAILED)


def test_in_time_after_all_is_in_time(make: Make) -> None:
    attempt = make(tasks.echo_sync)
    attempt.timed_out = True
    assert run(attempt).result.status == SUCCESSFUL


@pytest.mark.parametrize("error", [None, ValueError("bad"), asyncio.CancelledError()], ids=repr)
def test_cancelled_is_cancelled_whatever_the_function_makes_of_it(
    error: BaseException | None, make: Make, saved: list[TaskResult]
) -> None:
    attempt = make(thrice)
    attempt.stop = TaskCancelled
    attempt.timed_out = True
    run(attempt, error)
    assert (attempt.result.status, kinds(attempt.result)) == (FAILED, [TaskCancelled])
    assert (attempt.result is saved[-1], attempt.delay) == (True, None)
    assert type(attempt.error) is TaskCancelled


def test_what_goes_on_elsewhere_says_nothing_of_itself(
    make: Make, saved: list[TaskResult], caplog: pytest.LogCaptureFixture
) -> None:
    attempt, error = make(thrice), asyncio.CancelledError()
    attempt.stop = TaskLost
    run(attempt, error)
    assert [one.status for one in saved] == [RUNNING]
    assert (attempt.result.status, attempt.delay, attempt.error) == (RUNNING, None, error)
    assert f"Task id={attempt.result.id} goes on elsewhere: stopped here" in caplog.messages


@pytest.mark.parametrize("attempts", [2, 3])
def test_what_is_interrupted_is_tried_again_at_once_if_it_may_be(
    attempts: int, make: Make, saved: list[TaskResult]
) -> None:
    attempt = make(thrice)
    for _ in range(attempts - 1):
        attempt.begin()
    attempt.stop = TaskInterrupted
    run(attempt, asyncio.CancelledError())
    assert attempt.result is saved[-1]
    assert kinds(attempt.result) == [TaskInterrupted]
    expected = (READY, 0.0) if attempts < 3 else (FAILED, None)
    assert (attempt.result.status, attempt.delay) == expected


def test_what_ends_as_it_is_interrupted_has_ended(make: Make) -> None:
    attempt = make(thrice)
    attempt.stop = TaskInterrupted
    assert run(attempt).result.status == SUCCESSFUL


@pytest.mark.parametrize("on_loop", [True, False])
async def test_a_loop_that_ends_by_itself_interrupts_what_runs_on_it(
    on_loop: bool, make: Make
) -> None:
    async def be_cancelled() -> None:
        attempt.on_loop = on_loop
        with attempt:
            await asyncio.Event().wait()

    attempt = make(thrice)
    running = asyncio.create_task(be_cancelled())
    await asyncio.sleep(0)
    running.cancel()
    await running
    assert attempt.stop is (TaskInterrupted if on_loop else None)
    assert kinds(attempt.result) == [TaskInterrupted if on_loop else asyncio.CancelledError]
    assert attempt.delay == (0.0 if on_loop else 2.5)


def test_how_it_ends_after_its_process_has_stopped_is_told_already(
    make: Make, saved: list[TaskResult]
) -> None:
    attempt, error = make(thrice), ValueError("late")
    with attempt:
        attempt.ended = True
        raise error
    assert [one.status for one in saved] == [RUNNING]
    assert (attempt.error, attempt.delay, attempt.ended) == (error, None, True)


def test_a_failure_and_a_success_are_announced_as_what_they_are(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Django's log line of a failure is wanted where that of a success is not."""
    told: list[tuple[str, type, TaskResult]] = []

    class Noting:
        def __init__(self, name: str) -> None:
            self.name = name

        def send(self, sender: type, result: TaskResult) -> None:
            told.append((self.name, sender, result))

    for name in ("succeeded", "failed"):
        monkeypatch.setattr(announcements, name, Noting(name))
    good, bad = run(make(tasks.echo_sync)), run(make(tasks.echo_sync), ValueError("bad"))
    assert told == [("succeeded", Sender, good.result), ("failed", Sender, bad.result)]


# --- What it asks of others -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (None, None),
        (0, 0.0),
        (1, 1.0),
        (0.25, 0.25),
        (-3, 0.0),
        (-math.pi, 0.0),
        (LONGEST_SECONDS, LONGEST_SECONDS),
        (LONGEST_SECONDS + 1, LONGEST_SECONDS),
        (10**400, LONGEST_SECONDS),
    ],
)
def test_a_number_of_seconds_is_an_answer(answer: Any, seconds: float | None) -> None:
    told = seconds_of(answer)
    assert told == seconds
    assert told is None or type(told) is float


@pytest.mark.parametrize(
    "answer", [True, False, "1", math.nan, math.inf, -math.inf, [], object], ids=repr
)
def test_anything_else_is_none(answer: Any) -> None:
    with pytest.raises(TypeError) as refused:
        seconds_of(answer)
    assert str(refused.value) == (
        f"The backoff returned {answer!r}: it must return seconds as a finite number, or None."
    )


def test_a_coroutine_that_is_no_answer_is_closed() -> None:
    """Else Python would warn that nobody has awaited it, at any time later."""

    async def answer() -> float:
        return 1.0

    coroutine = answer()
    with pytest.raises(TypeError, match="coroutine object"):
        seconds_of(coroutine)
    with pytest.raises(RuntimeError, match="cannot reuse"):
        coroutine.send(None)


def test_without_a_loop_only_what_is_closed_was_ended_by_others() -> None:
    assert is_foreign(GeneratorExit())
    assert not is_foreign(asyncio.CancelledError())
    assert not is_foreign(ValueError())


async def test_on_a_loop_only_what_somebody_cancelled_was_ended_by_others() -> None:
    assert not is_foreign(asyncio.CancelledError())
    assert not is_foreign(GeneratorExit())
    running = asyncio.current_task()
    assert running is not None
    running.cancel()
    with pytest.raises(asyncio.CancelledError) as cancelled:
        await asyncio.sleep(0)
    told_of = [is_foreign(cancelled.value), is_foreign(ValueError())]
    running.uncancel()
    assert told_of == [True, False]
    told = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(
        lambda: told.set_result(is_foreign(asyncio.CancelledError()))
    )
    assert await told is False  # in a callback no task runs


@pytest.fixture
def default_handler() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("default_handler")
def test_only_where_nobody_takes_ctrl_c_may_an_interrupt_be_a_persons() -> None:
    assert is_from_signal(KeyboardInterrupt())
    assert not is_from_signal(None)
    assert not is_from_signal(SystemExit())
    told: list[bool] = []
    thread = threading.Thread(target=lambda: told.append(is_from_signal(KeyboardInterrupt())))
    thread.start()
    thread.join()
    assert told == [False]
    signal.signal(signal.SIGINT, lambda *_: None)
    assert not is_from_signal(KeyboardInterrupt())


@pytest.mark.usefixtures("default_handler")
def test_an_interrupt_that_may_be_a_persons_leaves_it_and_nothing_else_does(make: Make) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(make(tasks.echo_sync), KeyboardInterrupt())
    for error in (SystemExit(), GeneratorExit(), room.TaskLost()):
        assert run(make(tasks.echo_sync), error).error is error
