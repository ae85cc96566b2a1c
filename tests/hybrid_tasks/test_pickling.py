"""Tasks and results survive pickling, on Django 6.0 as on 6.1, where Django's own do."""

import copy
import os
import pickle
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from django.tasks import task as django_task
from pytest_django import Settings

from hybrid_tasks.results import states
from hybrid_tasks.results.task_result import TaskResult
from hybrid_tasks.tasks import Task, extended, task
from tests.conftest import ROOT
from tests.hybrid_tasks import tasks

LATER = datetime(2040, 1, 1, tzinfo=UTC)
protocols = pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))


def in_two_seconds(_exception: BaseException, _result: TaskResult) -> float:
    return 2.0


async def hidden(value: str) -> str:
    return value


# Under a name that is not the function's, where no path finds it.
shown_as = task(max_attempts=2)(hidden)


def every_task() -> dict[str, Task[..., Any]]:
    return {
        "with defaults": tasks.echo,
        "sync": tasks.echo_sync,
        "with context and metadata": tasks.report_progress,
        "made by using": tasks.echo.using(
            max_attempts=3,
            timeout=1.5,
            durable=True,
            backoff=in_two_seconds,
            metadata={"origin": ["a", {"b": 1}]},
            priority=50,
            run_after=LATER,
        ),
        "of Django's decorator": extended(tasks.plain),
        "under another name": shown_as,
    }


def again(value: Any, protocol: int = pickle.HIGHEST_PROTOCOL) -> Any:
    return pickle.loads(pickle.dumps(value, protocol))  # noqa: S301 - its own


@protocols
@pytest.mark.parametrize("what", every_task())
def test_a_task_is_the_same_again(what: str, protocol: int) -> None:
    one = every_task()[what]
    other = again(one, protocol)
    assert other == one
    assert type(other) is Task
    assert hash(other) == hash(one)
    assert other.func is one.func
    assert (other.backoff, other.metadata) == (one.backoff, one.metadata)


@protocols
@pytest.mark.parametrize("what", every_task())
def test_a_result_is_the_same_again(what: str, protocol: int) -> None:
    made = states.make(every_task()[what], ["ribs"], {"sauce": "none"}, "default")
    tried = states.to_retry(states.started(made, "one"), ValueError("no fire"))
    for result in (
        made,
        tried,
        states.succeeded(states.started(tried, "two"), {"smoked": ["ribs"]}),
        states.failed(states.started(tried, "two"), ValueError("no wood")),
    ):
        other = again(result, protocol)
        assert other == result
        assert type(other) is TaskResult
        assert other.rank == result.rank
    assert again(states.succeeded(tried, {"smoked": 1})).return_value == {"smoked": 1}


def test_another_process_finds_the_task_by_itself() -> None:
    """It has imported nothing of the tests before."""
    one = tasks.echo.using(max_attempts=3, backoff=tasks.at_once)
    result = states.make(one, [1], {}, "default")
    program = (
        "import pickle, sys, django; django.setup()\n"
        "assert 'tests.hybrid_tasks.tasks' not in sys.modules\n"
        "result = pickle.load(sys.stdin.buffer)\n"
        "task = result.task\n"
        "print(result.id, task.name, task.max_attempts, task.backoff.__name__, result.args)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        input=pickle.dumps(result),
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    assert run.stdout.decode().strip() == f"{result.id} echo 3 at_once [1]"


@pytest.mark.usefixtures("only_loop")
def test_a_pickle_is_read_whatever_the_settings_say_now(settings: Settings) -> None:
    settings.TASKS["default"]["QUEUES"] = ["default", "gone"]
    settings.TASKS = dict(settings.TASKS)
    pickled = pickle.dumps(tasks.echo.using(queue_name="gone"))
    settings.TASKS = {"default": {**settings.TASKS["default"], "QUEUES": ["default"]}}
    assert pickle.loads(pickled).queue_name == "gone"  # noqa: S301


def test_a_backoff_without_a_path_is_refused_with_its_task_named() -> None:
    one = tasks.echo.using(max_attempts=2, backoff=lambda _exception, _result: 1.0)
    words = r"The backoff of tests\.hybrid_tasks\.tasks\.echo is .*<lambda>: only a function"
    with pytest.raises(pickle.PicklingError, match=words):
        pickle.dumps(one)
    with pytest.raises(pickle.PicklingError, match=words):
        pickle.dumps(states.make(one, [], {}, "default"))
    for copied in (copy.copy(one), copy.deepcopy(one)):  # which need no path
        assert copied == one


def test_a_deep_copy_shares_no_metadata() -> None:
    one = tasks.echo.using(metadata={"steps": [1]})
    copy.deepcopy(one).metadata["steps"].append(2)
    assert one.metadata == {"steps": [1]}


@pytest.mark.parametrize(
    "path", ["gone.tasks.echo", "tests.hybrid_tasks.tasks.gone", "tests.hybrid_tasks.tasks.note"]
)
def test_a_path_that_leads_to_no_task_is_refused(path: str) -> None:
    """In Django's words."""
    with pytest.raises(ValueError, match=f"Expected '{path}' to point to a Task instance"):
        Task._reconstruct({"func": path})


def test_an_option_that_a_newer_version_has_or_an_older_one_lacks_is_no_obstacle() -> None:
    given = {"func": tasks.report_progress.module_path, "of_the_next_version": 1, "priority": 7}
    other = Task._reconstruct(given)
    assert other == tasks.report_progress.using(priority=7)


def test_plain_tasks_are_left_to_django() -> None:
    """With our backend, Django's decorator makes tasks of ours."""
    assert type(django_task(hidden)) is Task
