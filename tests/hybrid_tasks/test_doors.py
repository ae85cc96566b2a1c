"""What is refused at the door: a task that cannot run, or a value that cannot be kept."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.tasks import default_task_backend
from django.tasks import task as django_task
from django.tasks.exceptions import InvalidTask
from django.utils import timezone
from pytest_django import Settings

from hybrid_tasks.exceptions import ValueTooLarge
from hybrid_tasks.results import states
from hybrid_tasks.results.values import normalised
from hybrid_tasks.tasks import LONGEST_SECONDS, shown, task
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.contract.waiting import finished
from tests.hybrid_tasks.outbox.on_loop import enqueue
from tests.hybrid_tasks.taker import use_with_taker

MIB = 2**20
BACKENDS = {
    "eventloop": "hybrid_tasks.backends.eventloop.EventLoopBackend",
    "celery": "hybrid_tasks.backends.celery.CeleryBackend",
}
both_backends = pytest.mark.parametrize("name", BACKENDS)


def use_one(settings: Settings, name: str, **given: Any) -> None:
    settings.TASKS = {"default": {"BACKEND": BACKENDS[name], **given}}


@both_backends
@pytest.mark.parametrize("one", [tasks.echo, tasks.plain], ids=["ours", "Django's"])
async def test_a_task_is_validated_when_it_is_enqueued(
    name: str, one: Any, settings: Settings
) -> None:
    """C26: the queues of a backend may have changed since the task was defined."""
    use_one(settings, name, QUEUES=["first"])
    elsewhere = one.using(queue_name="first")
    use_one(settings, name, QUEUES=["second"])
    for _ in range(2):  # nor is it taken for good the second time
        with pytest.raises(InvalidTask, match="Queue 'first' is not valid for backend"):
            elsewhere.enqueue()
        with pytest.raises(InvalidTask, match="Queue 'first' is not valid for backend"):
            await elsewhere.aenqueue()


@both_backends
async def test_without_time_zones_there_is_no_run_after(name: str, settings: Settings) -> None:
    """C22: TypeError for naive times, and ValueError for aware ones."""
    settings.USE_TZ = False
    use_one(settings, name)
    for due in (datetime(2030, 1, 1), datetime(2030, 1, 1, tzinfo=UTC)):  # noqa: DTZ001
        with pytest.raises(InvalidTask):
            tasks.echo.using(run_after=due).enqueue()
    assert "hybrid_tasks.E008" in {one.id for one in default_task_backend.check()}


@pytest.mark.usefixtures("outbox")
async def test_without_time_zones_all_else_works(settings: Settings) -> None:
    """C22: only moments need them."""
    settings.USE_TZ = False
    use_one(settings, "eventloop")
    result: Any = await finished(await enqueue(tasks.echo, 1))
    assert result.return_value == {"args": [1], "kwargs": {}}
    assert result.started_at.tzinfo is UTC


NO_TIMEOUTS = [
    "5",
    0,
    -1,
    True,
    float("nan"),
    float("inf"),
    10**5000,
    timedelta(seconds=5),
    [5],
    1j,
]
NO_COUNTS = ["3", 0, -1, True, 2.0, None, float("nan"), 100_001, 10**5000]


@pytest.mark.parametrize("timeout", NO_TIMEOUTS, ids=shown)
def test_a_timeout_that_is_no_duration_is_refused(timeout: Any) -> None:
    """P5: `timeout="5"` gave TypeError."""
    with pytest.raises(InvalidTask, match="timeout is"):
        tasks.echo.using(timeout=timeout)
    with pytest.raises(InvalidTask, match="timeout is"):
        task(timeout=timeout)(tasks.echo.func)


@pytest.mark.parametrize("timeout", [1, 0.001, LONGEST_SECONDS])
def test_a_timeout_that_is_a_duration_is_taken(timeout: float) -> None:
    assert tasks.echo.using(timeout=timeout).timeout == timeout


@pytest.mark.parametrize("count", NO_COUNTS, ids=shown)
def test_a_number_of_attempts_that_is_none_is_refused(count: Any) -> None:
    """P5: at the definition, and not in a worker."""
    with pytest.raises(InvalidTask, match="max_attempts is"):
        task(max_attempts=count)(tasks.echo.func)


@pytest.mark.parametrize(
    "moment", [timedelta(minutes=1), 5, "tomorrow", date(2030, 1, 1)], ids=shown
)
def test_a_run_after_that_is_no_moment_is_refused(moment: Any) -> None:
    """Celery's `countdown`, say: AttributeError, for it has no 'utcoffset'."""
    with pytest.raises(InvalidTask, match=r"run_after is .*: it must be an aware datetime"):
        tasks.echo.using(run_after=moment)


def steps() -> Iterator[int]:
    yield 1


async def async_steps() -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize("function", [steps, async_steps])
def test_a_function_that_yields_is_refused(function: Any) -> None:
    """None of its code would run, and what it returns is no JSON."""
    with pytest.raises(InvalidTask, match=f"{function.__name__} yields"):
        task(function)


async def an_async_backoff(_exception: BaseException, _result: Any) -> float:
    return 1.0


@pytest.mark.parametrize("backoff", [an_async_backoff, 5, "tests.tasks.at_once", timedelta(1)])
def test_a_backoff_that_cannot_be_called_is_refused(backoff: Any) -> None:
    """C18, P4: a coroutine is not a number of seconds."""
    with pytest.raises(InvalidTask, match="backoff is"):
        tasks.echo.using(backoff=backoff)


@pytest.mark.parametrize("metadata", [[], "text", [("a", 1)], 5])
def test_metadata_that_is_no_dict_is_refused(metadata: Any) -> None:
    with pytest.raises(InvalidTask, match="metadata is"):
        tasks.echo.using(metadata=metadata)


@pytest.mark.usefixtures("only_loop")
async def test_a_result_can_be_refreshed_whatever_the_settings_say_now(settings: Settings) -> None:
    """P5: `refresh()` raised InvalidTask, as decoding validated the task anew."""
    settings.TASKS["default"]["QUEUES"] = ["default", "gone"]
    settings.TASKS = dict(settings.TASKS)
    result: Any = await tasks.plain.using(queue_name="gone", priority=5).aenqueue("ribs")
    settings.TASKS = {"default": {**settings.TASKS["default"], "QUEUES": ["default"]}}
    assert (await finished(result)).return_value == "ribs"
    again = states.decode(states.encode(result))
    await asyncio.to_thread(again.refresh)
    assert again.return_value == "ribs"


@both_backends
@pytest.mark.parametrize("what", ["args", "kwargs"])
async def test_more_than_the_limit_is_refused(name: str, what: str, settings: Settings) -> None:
    """Arguments of 4 MiB are the most, unless a backend says otherwise."""
    use_one(settings, name)
    large = "x" * (4 * MIB)
    args, kwargs = ([large], {}) if what == "args" else ([], {"large": large})
    with pytest.raises(ValueTooLarge, match=r"takes 4\.0 MiB as JSON: at most 4 MiB"):
        tasks.echo.enqueue(*args, **kwargs)
    with pytest.raises(ValueTooLarge, match="max_bytes"):
        await tasks.echo.aenqueue(*args, **kwargs)
    use_one(settings, name, OPTIONS={"max_bytes": 1024})
    with pytest.raises(ValueTooLarge, match=r"at most 0\.000976562 MiB"):
        tasks.echo.enqueue("x" * 1025)


def test_the_same_value_comes_from_every_backend(settings: Settings) -> None:
    """C25: int keys of dicts were strings from one backend and ints from the other."""
    use_with_taker(settings)
    given = {1: "a", "b": (2, [3])}
    for alias in ("default", "taker"):
        result = states.make(tasks.echo, [given], {"x": given}, alias)
        assert (result.args, result.kwargs) == (
            [{"1": "a", "b": [2, [3]]}],
            {"x": {"1": "a", "b": [2, [3]]}},
        )
        assert states.decode(states.encode(result)).args == result.args


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({1: 2}, {"1": 2}),
        ({None: 2}, {"null": 2}),
        ({True: 1, 2.5: 3}, {"true": 1, "2.5": 3}),
        ((1, (2, 3)), [1, [2, 3]]),
        ([(1,)], [[1]]),
        (b"bytes", "bytes"),
        ({"x": b"bytes"}, {"x": "bytes"}),
    ],
)
def test_a_value_is_at_once_what_json_will_give_back(value: Any, expected: Any) -> None:
    """C25: whoever looks sees the same, before and after it was stored."""
    assert repr(normalised(value)) == repr(expected)
    assert states.decode(states.encode(states.make(tasks.echo, [value], {}, "default"))).args == [
        expected
    ]


@both_backends
@pytest.mark.parametrize("value", [timezone.now(), Decimal("1.5"), {1}, tasks.echo], ids=type)
async def test_what_is_no_json_is_refused_with_what_to_do(
    name: str, value: Any, settings: Settings
) -> None:
    """All that was said was: Unsupported type."""
    use_one(settings, name)
    told = r"The list of arguments cannot be JSON: Unsupported type: .* Let it hold texts"
    with pytest.raises(TypeError, match=told):
        tasks.echo.enqueue(value)
    with pytest.raises(TypeError, match="The keyword arguments cannot be JSON"):
        await tasks.echo.aenqueue(deep={"in": [value]})


@pytest.mark.parametrize(
    "options",
    [{"durable": True}, {"run_after": datetime(2090, 1, 1, tzinfo=UTC), "durable": True}],
    ids=["durable", "later"],
)
async def test_without_the_app_nothing_waits_for_its_table(
    options: dict[str, Any], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OutboxUnavailable came after five seconds, which said that the database did not answer."""
    use_one(settings, "eventloop")
    installed = {label: app for label, app in apps.app_configs.items() if label != "hybrid_tasks"}
    monkeypatch.setattr(apps, "app_configs", installed)
    with pytest.raises(ImproperlyConfigured, match="which INSTALLED_APPS lacks: add"):
        await tasks.echo.using(**options).aenqueue()


@django_task
def due() -> None: ...


def test_djangos_own_tasks_are_validated_by_our_backends(settings: Settings) -> None:
    """C26: with what Django says of them."""
    use_one(settings, "eventloop")
    with pytest.raises(InvalidTask, match="must be an aware datetime"):
        due.using(run_after=timezone.now().replace(tzinfo=None)).enqueue()
