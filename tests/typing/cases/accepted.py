"""What both checkers must take, and the types that they must see. Nobody runs it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, assert_type

from django.tasks import TaskContext as DjangoTaskContext
from django.tasks import TaskResultStatus

from hybrid_tasks.execution import TaskContext as ContextFromExecution
from hybrid_tasks.tasks import Task, TaskContext, TaskResult, exponential_backoff, task


class Burnt(Exception):
    pass


def unless_burnt(exception: BaseException, result: TaskResult) -> float | None:
    assert_type(result.task.max_attempts, int)
    return None if isinstance(exception, Burnt) else exponential_backoff(exception, result)


@task
async def smoke(meat: str, hours: int = 3) -> list[str]:
    return [meat] * hours


@task
def weigh(meat: str, *, in_pounds: bool = False) -> float | None:
    return 1.0 if in_pounds else None


@task(max_attempts=5, timeout=10, durable=True, backoff=unless_burnt, metadata={"by": ["a", 1]})
async def season(*meats: str, **grams: int) -> None:
    assert_type((meats, grams), tuple[tuple[str, ...], dict[str, int]])


@task(takes_context=True, priority=5, queue_name="heavy", backend="celery")
async def report(context: TaskContext, period: str, parts: Sequence[int] = ()) -> dict[str, Any]:
    assert_type(context.attempt, int)
    assert_type(context.metadata, dict[str, Any])
    assert_type(context.task_result.id, str)
    assert_type(context.task_result.task.durable, bool)
    context.metadata["progress"] = {"done": 1, "total": len(parts)}
    context.metadata["progress"]["done"] += 1
    context.save_metadata()
    await context.asave_metadata()
    return {period: parts}


@task(takes_context=True)
def report_sync(context: ContextFromExecution, period: str) -> int:
    return context.attempt


@task(takes_context=True)
def takes_what_django_gives(context: DjangoTaskContext[..., Any], period: str) -> int:
    return context.attempt


# Without the decorator's syntax.
async def plain(number: int) -> str:
    return str(number)


undecorated = task(plain)
durable = task(plain, durable=True)


async def plain_report(context: TaskContext, number: int) -> str:
    return str(number)


def plain_report_sync(context: TaskContext, number: int) -> str:
    return str(number)


reporting = task(plain_report, takes_context=True)
reporting_sync = task(plain_report_sync, takes_context=True, durable=True)
of_nothing = task(timeout=None, metadata=None)(plain)


async def enqueued() -> None:
    result = await smoke.aenqueue("ribs", hours=2)
    assert_type(result, TaskResult[list[str]])
    assert_type(result.return_value, list[str])
    assert_type(result.status, TaskResultStatus)
    assert_type(result.finished_at, datetime | None)
    assert_type(result.metadata, dict[str, Any])
    assert_type(result.errors[-1].exception_class, type[BaseException])
    assert_type(await result.arefresh(), None)
    assert_type(await smoke.aget_result(result.id), TaskResult[list[str]])
    assert_type(await smoke.acall("ribs"), list[str])
    assert_type((await season.aenqueue("ribs", "brisket", salt=5)).return_value, None)
    assert_type((await report.aenqueue("2026-10", parts=[1])).return_value, dict[str, Any])
    assert_type((await undecorated.aenqueue(1)).return_value, str)
    assert_type((await durable.aenqueue(1)).return_value, str)
    assert_type((await reporting.aenqueue(1)).return_value, str)
    assert_type((await reporting_sync.aenqueue(1)).return_value, str)
    assert_type((await of_nothing.aenqueue(number=1)).return_value, str)


def enqueued_by_sync_code() -> None:
    assert_type(weigh.enqueue("ribs", in_pounds=True), TaskResult[float | None])
    assert_type(weigh.enqueue("ribs").return_value, float | None)
    assert_type(weigh.call("ribs"), float | None)
    assert_type(smoke.call("ribs"), list[str])
    assert_type(weigh.get_result("id"), TaskResult[float | None])
    assert_type(report_sync.enqueue("2026-10").return_value, int)
    assert_type(takes_what_django_gives.enqueue("2026-10").return_value, int)


async def changed() -> None:
    later = smoke.using(
        run_after=datetime.now(),  # noqa: DTZ005
        priority=50,
        backend="celery",
        queue_name="heavy",
        max_attempts=2,
        backoff=unless_burnt,
        timeout=1.5,
        durable=True,
        metadata={"by": {"hand": True}},
    )
    assert_type((await later.aenqueue("ribs", 2)).return_value, list[str])
    assert_type((await report.using(durable=True).aenqueue("now")).return_value, dict[str, Any])


async def with_a_context(context: TaskContext) -> None:
    """Django's `call` hands no context over: who calls does."""
    assert_type(await report.acall(context, "2026-10"), dict[str, Any])
    assert_type(report_sync.call(context, period="2026-10"), int)


def takes_any(one: Task, result: TaskResult) -> None: ...


def takes_one(one: Task[[int], object], result: TaskResult[object]) -> None: ...


async def handed_on() -> None:
    takes_any(smoke, await smoke.aenqueue("ribs"))
    takes_any(report, await report.aenqueue("now"))
    takes_one(undecorated, await undecorated.aenqueue(1))
    by_name: dict[str, Task[[str], object]] = {"sync": report_sync, "plain": renamed}
    assert_type(by_name["sync"].enqueue("now").return_value, object)


@task
async def renamed(other_name: str) -> None: ...


async def one_for_all[**P, R](one: Task[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Keep the types of whatever task it is given."""
    result = await one.using(durable=True).aenqueue(*args, **kwargs)
    await result.arefresh()
    return result.return_value


async def kept() -> None:
    assert_type(await one_for_all(smoke, "ribs", hours=2), list[str])
    assert_type(await one_for_all(report, "2026-10"), dict[str, Any])
