"""A message is data: it names what the project's own code has defined, and nothing else."""

import json
import subprocess
import sys
from typing import Any

import pytest
from django.core.cache import caches
from django.tasks import task as django_task
from django.tasks.exceptions import TaskResultDoesNotExist

from hybrid_tasks.finding import hybrid_backend
from hybrid_tasks.results import states
from hybrid_tasks.results.store import KEY_PREFIX, ResultStore
from hybrid_tasks.tasks import exponential_backoff, task
from tests.conftest import ROOT
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.ids import plain
from tests.hybrid_tasks.results import renamed as names

STORE = ResultStore("default", 60)


def encoded(one: Any = tasks.echo, **changes: Any) -> str:
    """Return the text of a result, of whose task `changes` were made afterwards."""
    state = json.loads(states.encode(states.make(one, [], {}, "default")))
    state["task"] |= changes
    return json.dumps(state)


@pytest.mark.parametrize(
    "path", ["os.abort", "builtins.exit", "antigravity.webbrowser", "tests.hybrid_tasks.tasks.note"]
)
def test_what_is_no_task_is_not_called(path: str) -> None:
    """C25: any module that a message named was imported, and what it held was taken."""
    module = path.rpartition(".")[0]
    there = module in sys.modules
    with pytest.raises(ImportError, match="is no task that this process knows"):
        states.decode(encoded(path=path))
    assert (module in sys.modules) == there


@pytest.mark.parametrize(
    "path", ["os.abort", "builtins.exit", "antigravity.fly", "tests.hybrid_tasks.tasks.note"]
)
def test_what_is_no_tasks_backoff_is_not_called(path: str) -> None:
    """C25: `os.abort` was taken as a backoff."""
    result: Any = states.decode(encoded(tasks.succeed_at, backoff=path))
    assert result.task.backoff is tasks.at_once
    result = states.decode(encoded(tasks.echo, backoff=path))
    assert result.task.backoff is exponential_backoff
    assert "antigravity" not in sys.modules


def test_a_backoff_of_any_task_may_be_named() -> None:
    """C25: `using(backoff=...)` goes on working."""
    result: Any = states.decode(encoded(tasks.echo.using(backoff=tasks.never)))
    assert result.task.backoff is tasks.never


def test_an_option_of_a_later_version_is_passed_over() -> None:
    """C19: in a rolling deploy, messages of the next version come to this one."""
    assert states.decode(encoded(later="option")).task.func is tasks.echo.func


GARBAGE = [
    "", "{}", "[]", "null", "1", '"text"', "{", "\x00", '{"task": 1}', '{"task": {"path": 3}}',
    '{"task": {"path": "tests.hybrid_tasks.tasks.echo"}}', '{"task": {"path": null}, "id": 1}',
    encoded(path="tests.hybrid_tasks.tasks.gone"), encoded(path="gone.tasks.echo"),
    encoded(run_after="yesterday"), encoded(run_after=5),
]  # fmt: skip


@pytest.mark.usefixtures("only_loop")
@pytest.mark.parametrize("text", [*GARBAGE, None, 5, b"bytes", ["list"]], ids=plain)
def test_garbage_in_the_cache_is_no_result(text: Any) -> None:
    """C25: TypeError, KeyError or JSONDecodeError came of it."""
    task_id = "0123456789abcdef0123456789abcdef"
    caches["default"].set(KEY_PREFIX + task_id, text)
    with pytest.raises(TaskResultDoesNotExist):
        hybrid_backend("default").get_result(task_id)  # type: ignore[attr-defined]


@pytest.mark.usefixtures("only_loop")
@pytest.mark.parametrize(
    "task_id",
    [None, 5, b"bytes", "", "x" * 300, "a b\n", "\ud800", "ä", ["list"], object()],
    ids=plain,
)
async def test_what_cannot_be_an_id_is_none_that_exists(task_id: Any) -> None:
    """C25: caches refuse such keys, each in its own way."""
    backend: Any = hybrid_backend("default")
    with pytest.raises(TaskResultDoesNotExist):
        backend.get_result(task_id)
    with pytest.raises(TaskResultDoesNotExist):
        await backend.aget_result(task_id)


def decoded_elsewhere(text: str) -> str:
    """Decode a message in a process that has imported none of the tests; return what it says."""
    script = (
        "import sys, django; django.setup()\n"
        "from hybrid_tasks.results import states\n"
        "result = states.decode(sys.stdin.read())\n"
        "print(result.task.module_path, result.task.func(), result.task.backend)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=text,
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    return done.stdout.strip() or done.stderr


def test_a_task_under_another_name_is_found_by_workers() -> None:
    """C21: `renamed = task(function)` was accepted, and no worker could find it."""
    found = decoded_elsewhere(states.encode(states.make(names.renamed, [], {}, "default")))
    assert found == "tests.hybrid_tasks.results.renamed.function called default"


@pytest.mark.parametrize("name", ["default", "celery"])
def test_a_plain_task_sent_by_another_backend_is_found_by_workers(name: str) -> None:
    """C21: one of Django's own, defined for one backend and enqueued on another."""
    one = names.plain.using(backend=name)
    found = decoded_elsewhere(states.encode(states.make(one, [], {}, name)))
    assert found == f"tests.hybrid_tasks.results.renamed.plain plain {name}"


def test_the_name_that_django_gives_it_may_be_anybodys() -> None:
    """C21: a function that was made a task twice is one task."""
    assert names.renamed.module_path == "tests.hybrid_tasks.results.renamed.function"
    again: Any = states.decode(encoded(names.renamed))
    assert again.task.func is names.function
    assert isinstance(task(names.function), type(names.renamed))
    assert django_task(names.function).module_path == names.renamed.module_path
