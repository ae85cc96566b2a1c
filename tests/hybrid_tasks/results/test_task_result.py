"""Results are made as drafts: none of the attributes that Django gives one may be missing."""

from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest

from hybrid_tasks.results import states
from hybrid_tasks.results.task_result import TaskResult
from tests.hybrid_tasks import tasks

NAMES = [field.name for field in fields(TaskResult)]


def values(result: TaskResult) -> dict[str, Any]:
    return {name: getattr(result, name) for name in NAMES}


@pytest.fixture
def made() -> TaskResult:
    return states.make(tasks.echo, [1], {"key": 2}, "default")


def test_a_made_result_has_every_attribute(made: TaskResult) -> None:
    assert type(made) is TaskResult
    assert values(made).keys() == set(NAMES)


def test_a_copy_has_every_attribute_of_its_original(made: TaskResult) -> None:
    ended = states.succeeded(states.started(made, "a worker"), 3)
    copy = states.advance(ended)
    assert type(copy) is TaskResult
    assert copy is not ended
    assert values(copy) == values(ended)


def test_each_step_changes_what_it_says_and_leaves_the_result_before_it(made: TaskResult) -> None:
    before = values(made)
    running = states.started(made, "a worker")
    changed = {name for name in NAMES if values(running)[name] != before[name]}
    assert changed == {"status", "started_at", "last_attempted_at", "worker_ids"}
    assert values(made) == before


def test_a_result_is_frozen(made: TaskResult) -> None:
    with pytest.raises(FrozenInstanceError):
        made.id = "another"  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        del states.started(made, "a worker").id  # type: ignore[misc]
