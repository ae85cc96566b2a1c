"""The tasks of the world: each attempt does what the history has written for it."""

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from hybrid_tasks.execution import TaskContext
from hybrid_tasks.tasks import Backoff, task
from tests.world import stage, threads
from tests.world.scripts import RAISED, VALUES

if TYPE_CHECKING:
    from tests.world.entry import Run

LOOK_SECONDS = 5.0  # after which what hangs looks whether it may end


@task(takes_context=True)
async def work(context: TaskContext, label: str) -> Any:
    """Do what is written for this attempt, on a loop."""
    run = stage.world().ledger.begin(label, context)
    try:
        return await perform(run, context)
    finally:
        run.end()


@task(takes_context=True)
def toil(context: TaskContext, label: str) -> Any:
    """Do what is written for this attempt, in a thread."""
    run = stage.world().ledger.begin(label, context)
    try:
        return endure(run, context)
    finally:
        run.end()


@task(takes_context=True)
async def newer(context: TaskContext, label: str) -> Any:
    """As `work`; only processes of version 2 know it."""
    return await work.func(context, label)


async def perform(run: "Run", context: TaskContext) -> Any:
    act, seconds = run.act
    if act == "note":
        context.metadata["progress"] = {"done": run.number, "total": 3}
        await context.asave_metadata()
    if act in ("hang", "swallow", "resist"):
        return await hang(act, seconds)
    await asyncio.sleep(seconds)
    return outcome(act, run.label)


async def hang(act: str, seconds: float) -> str:
    try:
        while not stage.world().well:  # noqa: ASYNC110
            await asyncio.sleep(LOOK_SECONDS)
    except asyncio.CancelledError:
        if act == "hang":
            raise
        if act == "resist":
            await asyncio.sleep(seconds)
    return act


def endure(run: "Run", context: TaskContext) -> Any:
    act, seconds = run.act
    threads.sleep(seconds)
    if act == "note":  # perhaps after its timeout
        context.metadata["progress"] = {"done": run.number, "total": 3}
        context.save_metadata()
    return outcome(act, run.label)


def outcome(act: str, label: str) -> Any:
    if act in RAISED:
        raise RAISED[act](label)
    return VALUES.get(act, label)


# --- Backoffs ------------------------------------------------------------------------------------


def soon(_error: BaseException, _result: Any) -> float:
    return 0.0


def later(_error: BaseException, _result: Any) -> float:
    return 4.0


def much_later(_error: BaseException, _result: Any) -> float:
    return 60.0


def never(_error: BaseException, _result: Any) -> None:
    return None


def infinite(_error: BaseException, _result: Any) -> float:
    return float("inf")


def a_delta(_error: BaseException, _result: Any) -> Any:
    return timedelta(seconds=2)


def a_coroutine(_error: BaseException, _result: Any) -> Any:
    async def answer() -> float:
        return 1.0

    return answer()


def failing(_error: BaseException, _result: Any) -> float:
    raise SystemExit("backoff")


BACKOFFS: dict[str, Backoff] = {
    one.__name__: one
    for one in (soon, later, much_later, never, infinite, a_delta, a_coroutine, failing)
}
TASKS = {"async": work, "sync": toil, "newer": newer}
