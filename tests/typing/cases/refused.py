"""What both checkers must refuse, each line with the code of mypy and the rule of pyright.

Nobody runs it.
"""

from typing import Any, assert_type

from hybrid_tasks.tasks import Task, TaskContext, TaskResult, task


@task
async def smoke(meat: str, hours: int = 3) -> list[str]:
    return [meat] * hours


@task(max_attempts=3)
def weigh(meat: str, *, in_pounds: bool = False) -> float:
    return 1.0 if in_pounds else 2.0


@task(takes_context=True, durable=True)
async def report(context: TaskContext, period: str) -> dict[str, int]:
    return {period: context.attempt}


async def wrong_arguments(context: TaskContext) -> None:
    await smoke.aenqueue(1)  # expect: arg-type reportArgumentType
    await smoke.aenqueue()  # expect: call-arg reportCallIssue
    await smoke.aenqueue("ribs", "long")  # expect: arg-type reportArgumentType
    await smoke.aenqueue("ribs", 3, "more")  # expect: call-arg reportCallIssue
    await smoke.aenqueue("ribs", sauce="none")  # expect: call-arg reportCallIssue
    await smoke.using(durable=True).aenqueue(1)  # expect: arg-type reportArgumentType
    await smoke.acall(1)  # expect: arg-type reportArgumentType
    weigh.enqueue(1)  # expect: arg-type reportArgumentType
    weigh.enqueue("ribs", True)  # expect: call-arg reportCallIssue
    weigh.enqueue("ribs", in_pounds="yes")  # expect: arg-type reportArgumentType
    weigh.call()  # expect: call-arg reportCallIssue


async def the_context_is_no_argument(context: TaskContext) -> None:
    await report.aenqueue(context, "2026-10")  # expect: call-arg arg-type reportCallIssue
    await report.aenqueue("2026-10", context=context)  # expect: call-arg reportCallIssue
    await report.aenqueue(2026)  # expect: arg-type reportArgumentType
    report.enqueue()  # expect: call-arg reportCallIssue
    await report.acall("2026-10")  # expect: call-arg arg-type reportCallIssue


async def wrong_results() -> None:
    result = await smoke.aenqueue("ribs")
    assert_type(result.return_value, list[int])  # expect: assert-type reportAssertTypeFailure
    result.return_value.upper()  # expect: attr-defined reportAttributeAccessIssue
    weighed: str = weigh.enqueue("ribs").return_value  # expect: assignment reportAssignmentType
    other: TaskResult[str] = result  # expect: assignment reportAssignmentType
    result.generation = 2  # expect: misc reportAttributeAccessIssue
    smoke.aenqueue("ribs").id.upper()  # expect: attr-defined reportAttributeAccessIssue
    takes_them(weighed, other)


def takes_them(*_: object) -> None: ...


def wrong_options() -> None:
    task(max_attempts="5")  # expect: call-overload reportArgumentType
    task(max_attemps=5)  # expect: call-overload reportCallIssue
    task(timeout="5")  # expect: call-overload reportArgumentType
    task(durable=None)  # expect: call-overload reportArgumentType
    task(metadata=[("by", "hand")])  # expect: call-overload reportArgumentType
    task(backoff=5)  # expect: call-overload reportArgumentType
    task(backoff=asynchronous)  # expect: arg-type reportArgumentType
    task(backoff=narrow)  # expect: arg-type reportArgumentType
    smoke.using(max_attempts="5")  # expect: arg-type reportArgumentType
    smoke.using(durabel=True)  # expect: call-arg reportCallIssue
    smoke.using(run_after=5)  # expect: arg-type reportArgumentType
    smoke.using(metadata="hand")  # expect: arg-type reportArgumentType


async def asynchronous(_exception: BaseException, _result: TaskResult) -> float:
    return 1.0


def narrow(_exception: ValueError, _result: TaskResult) -> float:
    return 1.0


async def without_context() -> None: ...


async def with_something_else(context: int) -> None: ...


task(takes_context=True)(without_context)  # expect: arg-type reportCallIssue reportArgumentType
task(takes_context=True)(with_something_else)  # expect: arg-type reportCallIssue reportArgumentType


async def wrong_contexts(context: TaskContext) -> None:
    context.metadata[1] = 2  # expect: index reportArgumentType
    context.metadata = {}  # expect: misc reportAttributeAccessIssue
    context.save_metadata("now")  # expect: call-arg reportCallIssue
    await context.asave_metadata("now")  # expect: call-arg reportCallIssue
    context.task_result.task.durabel.bit_count()  # expect: attr-defined reportAttributeAccessIssue


def wants_numbers(one: Task[[int], Any]) -> None: ...


wants_numbers(smoke)  # expect: arg-type reportArgumentType
wants_numbers(weigh.using(durable=True))  # expect: arg-type reportArgumentType
