"""Django's own decorator: from 6.1 on it hands our options over. Each version has its own tests."""

from typing import Any

import django
import pytest
from django.tasks import task as django_task
from django.tasks.exceptions import InvalidTask

from hybrid_tasks.backends.eventloop import serve
from hybrid_tasks.tasks import Task
from tests.hybrid_tasks.contract.waiting import finished
from tests.hybrid_tasks.outbox.on_loop import settled
from tests.hybrid_tasks.outbox.rows import row_states
from tests.hybrid_tasks.threads import in_thread

decorate: Any = django_task  # whose types know no options but Django's


def at_once(_exception: BaseException, _result: Any) -> float:
    return 0.0


async def season(meat: str) -> str:
    return f"seasoned {meat}"


async def count_rows(context: Any) -> list[str]:
    """Return at the third attempt which tasks have a row."""
    if context.attempt < 3:
        raise ValueError("too early")
    return list(await in_thread(row_states))


def test_without_options_it_makes_our_tasks() -> None:
    made = decorate(season)
    assert type(made) is Task
    assert (made.max_attempts, made.durable) == (1, False)


if django.VERSION >= (6, 1):
    seasoning: Task = decorate(
        max_attempts=5,
        timeout=10,
        durable=True,
        backoff=at_once,
        metadata={"progress": {"done": 0}},
        priority=7,
        queue_name="default",
    )(season)
    counting: Task = decorate(
        max_attempts=3, backoff=at_once, durable=True, takes_context=True, metadata={"by": "hand"}
    )(count_rows)

    def test_on_6_1_it_hands_our_options_over() -> None:
        assert type(seasoning) is Task
        assert (seasoning.max_attempts, seasoning.timeout, seasoning.durable) == (5, 10, True)
        assert (seasoning.priority, seasoning.backoff) == (7, at_once)
        assert seasoning.metadata == {"progress": {"done": 0}}
        assert seasoning.using(max_attempts=2).max_attempts == 2

    @pytest.mark.usefixtures("only_loop")
    async def test_on_6_1_what_it_makes_is_tried_durably() -> None:
        async with serve():
            result = await counting.aenqueue()
            assert (await finished(result)).return_value == [result.id]
        assert (result.attempts, result.metadata) == (3, {"by": "hand"})
        assert await settled() == {}

    @pytest.mark.parametrize(
        ("options", "error", "words"),
        [
            ({"max_attempts": 0}, InvalidTask, "max_attempts is 0: it must be a whole number"),
            ({"timeout": "5"}, InvalidTask, "timeout is '5'"),
            ({"metadata": []}, InvalidTask, r"metadata is \[\]"),
            ({"max_attemps": 5}, TypeError, "max_attemps"),
        ],
    )
    def test_on_6_1_our_rules_hold(options: Any, error: type[Exception], words: str) -> None:
        with pytest.raises(error, match=words):
            decorate(**options)(season)

else:

    def test_on_6_0_it_knows_no_options_but_its_own() -> None:
        with pytest.raises(TypeError, match="max_attempts"):
            decorate(max_attempts=5, durable=True)
