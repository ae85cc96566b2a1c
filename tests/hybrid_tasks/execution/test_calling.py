"""How a function is called: in which thread, within what time, and what becomes of its errors."""

import asyncio
import gc
import os
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.tasks import TaskResultStatus

from hybrid_tasks.exceptions import TaskCancelled, TaskInterrupted
from hybrid_tasks.execution.attempt import Attempt
from hybrid_tasks.execution.calling import (
    acall,
    call,
    forget_error,
    in_time,
    run_async,
    run_function,
    run_pooled,
    settle_once,
)
from hybrid_tasks.execution.threads import AttemptThread, Pool, then_close
from hybrid_tasks.results.task_result import TaskResult
from hybrid_tasks.runtime import Runtime
from hybrid_tasks.tasks import task
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.contract.waiting import until
from tests.hybrid_tasks.execution.conftest import Make
from tests.processes import PATIENCE

SUCCESSFUL, FAILED = TaskResultStatus.SUCCESSFUL, TaskResultStatus.FAILED

word: ContextVar[str] = ContextVar("word", default="unset")
calls: dict[str, Callable[[], Any]] = {}  # what the tasks here do, by a word


@task
def do(name: str) -> Any:
    return calls[name]()


@task
async def do_async(name: str) -> Any:
    return await calls[name]()


class Stop(Exception):
    """Raised in a thread by who limits its time."""


def raise_it(error: BaseException) -> Any:
    raise error


@pytest.fixture
def held() -> Any:
    """A function that waits in its thread until it is let go."""

    class Held:
        def __init__(self) -> None:
            self.began, self.may_end = threading.Event(), threading.Event()

        def __call__(self) -> str:
            self.began.set()
            assert self.may_end.wait(PATIENCE)
            return "held"

    one = Held()
    yield one
    one.may_end.set()


# --- In the caller's thread -----------------------------------------------------------------------


def test_a_sync_function_is_called_in_this_thread(make: Make) -> None:
    calls["who"] = threading.get_ident
    attempt = make(do, "who")
    call(attempt)
    assert attempt.result.return_value == threading.get_ident()
    assert not attempt.on_loop


def test_it_is_given_what_it_was_enqueued_with(make: Make) -> None:
    attempt = make(tasks.echo_sync, 1, key=2)
    call(attempt)
    assert attempt.result.return_value == {"args": [1], "kwargs": {"key": 2}}


def test_a_sign_that_time_is_over_becomes_an_error_that_says_so(make: Make) -> None:
    stop = Stop()
    calls["stop"] = lambda: raise_it(stop)
    attempt = make(do.using(timeout=2.5), "stop")
    call(attempt, (Stop, KeyError))
    assert str(attempt.error) == f"{do.module_path} took longer than its timeout of 2.5 s."
    assert attempt.error is not None
    assert attempt.error.__cause__ is stop
    with pytest.raises(Stop):
        run_function(make(do, "stop"))
    with pytest.raises(Stop):
        run_function(make(do, "stop"), (KeyError,))
    attempt = make(do, "stop")
    call(attempt)
    assert attempt.error is stop


# --- On a loop ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("runtime")
@pytest.mark.parametrize("seconds", [None, PATIENCE])
@pytest.mark.parametrize("one", [tasks.echo, tasks.echo_sync], ids=["async", "sync"])
async def test_any_function_can_be_called_on_a_loop(
    one: Any, seconds: float | None, make: Make
) -> None:
    attempt = make(one.using(timeout=seconds), 1, key=2)
    await acall(attempt)
    assert attempt.result.return_value == {"args": [1], "kwargs": {"key": 2}}
    assert attempt.on_loop
    assert (attempt.thread is not None) is (one is tasks.echo_sync)


async def test_a_coroutine_has_its_timeout(make: Make) -> None:
    calls["hang"] = asyncio.Event().wait
    attempt = make(do_async.using(timeout=0.01), "hang")
    await acall(attempt)
    assert str(attempt.error) == f"{do_async.module_path} took longer than its timeout of 0.01 s."
    assert attempt.error is not None
    assert type(attempt.error.__cause__) is TimeoutError


async def test_a_timeout_of_the_functions_own_is_its_own(make: Make) -> None:
    async def give_up() -> None:
        async with asyncio.timeout(0.001):
            await asyncio.Event().wait()

    calls["give up"] = give_up
    attempt = make(do_async.using(timeout=PATIENCE), "give up")
    await acall(attempt)
    assert (type(attempt.error), str(attempt.error)) == (TimeoutError, "")


async def test_what_is_awaited_in_time_is_returned() -> None:
    assert await in_time(asyncio.sleep(0, "done"), tasks.echo.using(timeout=PATIENCE)) == "done"


async def test_each_attempt_has_its_own_thread_for_the_orm(make: Make) -> None:
    @asynccontextmanager
    async def noting() -> AsyncIterator[None]:
        told.append("in")
        yield
        told.append("out")

    async def tell() -> str:
        told.append("runs")
        found: str = await sync_to_async(lambda: threading.current_thread().name)()
        return found

    told: list[str] = []
    calls["tell"] = tell
    names = []
    for _ in range(2):
        attempt = make(do_async, "tell")
        await acall(attempt)
        names.append(attempt.result.return_value)
    assert names[0] != names[1]
    for how in (acall, run_async):
        told.clear()
        await how(make(do_async, "tell"), noting)
        assert told == ["in", "runs", "out"]


async def test_connections_of_an_attempts_thread_are_closed_when_it_ends(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[str] = []
    monkeypatch.setattr(
        connections, "close_all", lambda: closed.append(threading.current_thread().name)
    )

    async def use_orm() -> str:
        found: str = await sync_to_async(lambda: threading.current_thread().name)()
        return found

    calls["use it"], calls["leave it"] = use_orm, lambda: asyncio.sleep(0)
    await acall(make(do_async, "leave it"))
    assert closed == []
    attempt = make(do_async, "use it")
    await acall(attempt)
    await until(lambda: closed, "they are closed")
    assert closed == [attempt.result.return_value]
    await until(
        lambda: closed[0] not in [one.name for one in threading.enumerate()], "the thread ends"
    )


async def test_a_thread_that_hangs_holds_up_no_loop(held: Any) -> None:
    async with AttemptThread():
        hanging = asyncio.ensure_future(sync_to_async(held)())
        await until(held.began.is_set, "it runs")
    assert not hanging.done()
    held.may_end.set()
    assert await hanging == "held"


# --- In the pool ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("cores", "threads"), [(None, 5), (1, 5), (8, 12), (28, 32), (64, 32)])
def test_the_pool_is_as_large_as_pythons_own(
    cores: int | None, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    with Pool(Runtime(threads=False)) as pool:
        assert pool._max_workers == threads
        name = pool.submit(lambda: threading.current_thread().name).result(PATIENCE)
    assert name == "hybrid-tasks_0"


@pytest.mark.parametrize("fails", [False, True])
def test_connections_are_closed_whatever_becomes_of_the_function(
    fails: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[bool] = []
    monkeypatch.setattr(connections, "close_all", lambda: closed.append(True))
    if fails:
        with pytest.raises(KeyError):
            then_close(lambda: raise_it(KeyError()))
    else:
        assert then_close(lambda: "done") == "done"
    assert closed == [True]


@pytest.fixture
def pool(runtime: Runtime) -> ThreadPoolExecutor:
    """One that has a single thread."""
    only = ThreadPoolExecutor(1)
    runtime._parts[Pool] = only
    return only


@pytest.mark.usefixtures("pool")
async def test_a_thread_sees_the_variables_of_its_attempt_and_closes_its_connections(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[int] = []
    monkeypatch.setattr(connections, "close_all", lambda: closed.append(threading.get_ident()))
    calls["read"] = lambda: [word.get(), threading.get_ident()]
    word.set("request 1")
    attempt = make(do, "read")
    await acall(attempt)
    told, thread = attempt.result.return_value
    assert told == "request 1"
    assert closed == [thread]
    assert attempt.thread is not None
    assert attempt.thread.done()


@pytest.mark.usefixtures("pool")
async def test_what_a_thread_raises_is_the_attempts_error(make: Make) -> None:
    error = KeyError("bad")
    calls["fail"] = lambda: raise_it(error)
    for seconds in (None, PATIENCE):
        attempt = make(do.using(timeout=seconds), "fail")
        await acall(attempt)
        assert attempt.error is error


async def test_its_time_begins_when_a_thread_is_free(
    make: Make, pool: ThreadPoolExecutor, held: Any
) -> None:
    pool.submit(held)
    assert await asyncio.to_thread(held.began.wait, PATIENCE)
    calls["quick"] = lambda: "done"
    attempt = make(do.using(timeout=0.2), "quick")
    waiting = asyncio.create_task(acall(attempt))
    await asyncio.wait([waiting], timeout=0.4)
    assert not waiting.done()
    held.may_end.set()
    await waiting
    assert attempt.result.status == SUCCESSFUL


@pytest.mark.usefixtures("pool")
async def test_a_thread_that_outlives_its_timeout_is_left_to_itself(make: Make, held: Any) -> None:
    calls["hold"] = held
    attempt = make(do.using(timeout=0.01), "hold")
    await acall(attempt)
    assert str(attempt.error) == f"{do.module_path} took longer than its timeout of 0.01 s."
    assert attempt.thread is not None
    assert not attempt.thread.done()


async def begun(attempt: Attempt, held: Any) -> asyncio.Task[None]:
    """Return an attempt on its way, whose function runs in its thread."""
    running = asyncio.create_task(acall(attempt))
    await until(lambda: held.began.is_set() or running.done(), "it runs")
    assert not running.done()
    return running


@pytest.mark.usefixtures("pool")
async def test_who_is_interrupted_in_a_thread_ends_when_that_does(make: Make, held: Any) -> None:
    calls["hold"] = held
    attempt = make(do, "hold")
    running = await begun(attempt, held)
    attempt.stop = TaskInterrupted
    running.cancel()
    await asyncio.wait([running], timeout=0.1)
    assert not running.done()
    held.may_end.set()
    await running
    assert (attempt.result.status, attempt.result.return_value) == (SUCCESSFUL, "held")


@pytest.mark.usefixtures("pool")
@pytest.mark.parametrize("seconds", [None, PATIENCE])
async def test_who_is_cancelled_in_a_thread_waits_for_nothing(
    seconds: float | None, make: Make, held: Any
) -> None:
    calls["hold"] = held
    attempt = make(do.using(timeout=seconds), "hold")
    running = await begun(attempt, held)
    attempt.stop = TaskCancelled
    running.cancel()
    await running
    assert attempt.result.errors[-1].exception_class is TaskCancelled
    assert attempt.thread is not None
    assert not attempt.thread.done()


async def test_who_is_interrupted_before_a_thread_is_free_never_runs(
    make: Make, pool: ThreadPoolExecutor, held: Any, saved: list[TaskResult]
) -> None:
    pool.submit(held)
    assert await asyncio.to_thread(held.began.wait, PATIENCE)
    ran: list[bool] = []
    calls["note"] = lambda: ran.append(True)
    attempt = make(do, "note")
    running = asyncio.create_task(acall(attempt))
    await until(lambda: attempt.thread, "it waits for a thread")
    attempt.stop = TaskInterrupted
    running.cancel()
    await running
    assert attempt.thread is not None
    assert attempt.thread.cancelled()
    held.may_end.set()
    pool.shutdown()
    assert ran == []
    assert saved[-1].errors[-1].exception_class is TaskInterrupted


def test_a_thread_that_begins_after_its_loop_has_ended_does_its_work_all_the_same(
    make: Make, pool: ThreadPoolExecutor, held: Any
) -> None:
    pool.submit(held)
    calls["work"] = lambda: "done"
    attempt = make(do, "work")
    loop = asyncio.new_event_loop()
    waiting: Any = loop.create_task(run_pooled(attempt))
    loop.run_until_complete(until(lambda: attempt.thread, "it waits for a thread"))
    loop.close()
    waiting._log_destroy_pending = False
    held.may_end.set()
    assert attempt.thread is not None
    assert attempt.thread.result(PATIENCE) == "done"


@pytest.mark.usefixtures("pool")
@pytest.mark.parametrize("how", ["its time is over", "cancelled as it begins"])
async def test_an_error_that_comes_too_late_is_no_loops_affair(
    how: str, make: Make, held: Any
) -> None:
    """Python would log that it was never retrieved."""
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, told: complaints.append(told))

    def hold_and_fail() -> None:
        held()
        raise KeyError("late")

    calls["hold"] = hold_and_fail
    attempt = make(do if how == "cancelled as it begins" else do.using(timeout=0.01), "hold")
    running: Any = asyncio.create_task(run_pooled(attempt))
    await asyncio.sleep(0)  # it has asked for a thread
    assert held.began.wait(PATIENCE)  # of which the loop has heard nothing yet
    if how == "cancelled as it begins":
        running.cancel()
    await asyncio.wait([running])
    assert running.cancelled() or type(running.exception()) is TimeoutError
    held.may_end.set()
    thread: Any = attempt.thread
    await until(thread.done, "it has failed")
    del running, thread, attempt
    await asyncio.sleep(0.01)
    gc.collect()
    assert complaints == []


async def test_what_is_forgotten_may_be_cancelled_or_fail() -> None:
    loop = asyncio.get_running_loop()
    complaints: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, told: complaints.append(told))
    failed, cancelled, done = (loop.create_future() for _ in range(3))
    failed.set_exception(KeyError())
    cancelled.cancel()
    done.set_result(1)
    for one in (failed, cancelled, done):
        forget_error(one)
    del failed, one
    gc.collect()
    assert complaints == []


async def test_what_is_settled_stays_as_it_is() -> None:
    loop = asyncio.get_running_loop()
    one, cancelled = loop.create_future(), loop.create_future()
    cancelled.cancel()
    for future in (one, one, cancelled):
        settle_once(future)
    assert one.result() is None
    assert cancelled.cancelled()
