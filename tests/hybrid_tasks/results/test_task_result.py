"""Results are made as drafts: none of the attributes that Django gives one may be missing."""

from dataclasses import FrozenInstanceError, fields
from types import SimpleNamespace
from typing import Any

import pytest

from hybrid_tasks.results import states
from hybrid_tasks.results.task_result import TaskResult, may_follow
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


def test_a_state_is_followed_by_later_ones_and_by_its_own_news(made: TaskResult) -> None:
    running = states.started(made, "one")
    retry = states.to_retry(running, ValueError("not yet"))
    again = states.started(retry, "other")
    failed, succeeded = states.failed(again, ValueError("bad")), states.succeeded(again, 3)
    anew = states.advance(made, generation=1)
    for number, earlier in enumerate((made, running, retry, again, failed, anew)):
        for later in (made, running, retry, again, failed, anew)[number + 1 :]:
            assert may_follow(later, earlier)
            assert not may_follow(earlier, later)
        assert may_follow(states.advance(earlier, metadata={"new": 1}), earlier)
    assert not may_follow(failed, succeeded)
    assert not may_follow(succeeded, failed)


def test_what_is_adopted_is_what_comes_later_or_what_is_djangos_own(made: TaskResult) -> None:
    running = states.started(made, "one")
    held = states.advance(running)
    held._adopt(made)
    assert values(held) == values(running)
    ended = states.advance(
        states.succeeded(running, 3), metadata={"new": 1}, generation=1, backend="celery"
    )
    held._adopt(ended)
    assert values(held) == values(ended)
    plain: Any = SimpleNamespace(**values(made))  # of another backend, which knows no ranks
    held._adopt(plain)
    assert held.status == made.status
