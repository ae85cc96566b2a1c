"""A state is written forwards only, into whatever cache it is kept in."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import caches
from django.tasks import TaskResultStatus
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pytest_django import DjangoDbBlocker, Settings

from hybrid_tasks.exceptions import TaskInterrupted
from hybrid_tasks.results import states
from hybrid_tasks.results.recorder import Recorder
from hybrid_tasks.results.store import NotStored, ResultStore
from hybrid_tasks.results.task_result import TaskResult, may_follow
from hybrid_tasks.runtime import Runtime
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.caches import ALL, use_cache

STORE = ResultStore("default", 60)


@pytest.fixture(params=ALL)
def cache(
    request: pytest.FixtureRequest,
    settings: Settings,
    tmp_path: Path,
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[str]:
    with django_db_blocker.unblock():
        use_cache(request.param, request, settings, tmp_path)
        yield request.param
        caches["default"].clear()


def life() -> list[TaskResult]:
    """Return all states of a task that fails, is retried, fails for good and is run again."""
    ready = states.make(tasks.echo, [], {}, "default")
    first = states.started(ready, "a")
    retry = states.to_retry(first, ValueError("first"))
    second = states.started(retry, "b")
    failed = states.failed(second, ValueError("second"))
    content = json.loads(states.encode(failed))
    again = states.decode(json.dumps(states.revived(content)))
    third = states.started(again, "c")
    return [ready, first, retry, second, failed, again, third, states.succeeded(third, "done")]


def seen(result: TaskResult) -> tuple[Any, ...]:
    return (result.status, result.attempts, len(result.errors), result.generation)


@pytest.mark.usefixtures("cache")
def test_an_end_is_not_overwritten_by_what_came_before() -> None:
    """C11: the relay stored READY though a worker had finished the task since."""
    lifetime = life()
    for number, state in enumerate(lifetime):
        assert STORE.save([state]) == set()
        assert STORE.save(lifetime[:number][:1]) == ({state.id} if number else set())
        assert seen(STORE.load(state.id)) == seen(state)


@pytest.mark.usefixtures("cache")
@examples(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_in_whatever_order_states_arrive_the_last_one_stays(data: st.DataObject) -> None:
    """C11, C15: writers meet in any order: one by one, or some of one task in one batch."""
    lifetime = life()
    order = data.draw(st.permutations(range(len(lifetime))))
    last = -1
    for number in order:
        refused = STORE.save([lifetime[number]])
        assert refused == ({lifetime[0].id} if number < last else set())
        last = max(last, number)
        assert seen(STORE.load(lifetime[0].id)) == seen(lifetime[last])


@pytest.mark.usefixtures("cache")
def test_of_two_ends_the_first_stays() -> None:
    """C6, C15: a task that was told to have ended one way does not end another way."""
    running = states.started(states.make(tasks.echo, [], {}, "default"), "a")
    assert STORE.end(states.failed(running, TaskInterrupted()))
    assert not STORE.end(states.succeeded(running, 1))
    assert STORE.load(running.id).status == TaskResultStatus.FAILED


@pytest.mark.usefixtures("cache")
def test_an_attempt_begins_once_and_never_after_the_end() -> None:
    """C11: of two deliveries of one message, one begins."""
    ready = states.make(tasks.echo, [], {}, "default")
    running = states.started(ready, "a")
    assert STORE.begin(running)
    assert not STORE.begin(running)
    assert not STORE.begin(states.started(ready, "another worker"))
    assert STORE.end(states.succeeded(running, 1))
    assert not STORE.begin(states.started(states.to_retry(running, ValueError()), "a"))


def test_what_waits_in_the_recorder_goes_forwards_too() -> None:
    """C11, C15: a state that was recorded is followed by later ones only."""
    lifetime = life()
    recorder = Recorder(Runtime(threads=False))
    for state in reversed(lifetime):
        recorder.record(STORE, state)
        recorded = recorder.recorded(state.id)
        assert recorded is not None
        assert seen(recorded) == seen(lifetime[-1])


@given(st.data())
def test_a_reader_never_goes_back(data: st.DataObject) -> None:
    """C8, C11: `refresh()` adopts what comes later, and nothing else."""
    lifetime = life()
    one, other = data.draw(st.sampled_from(lifetime)), data.draw(st.sampled_from(lifetime))
    held = states.advance(one)
    held._adopt(states.advance(other))
    assert seen(held) == seen(other if lifetime.index(other) > lifetime.index(one) else one)
    assert may_follow(other, one) is (lifetime.index(other) >= lifetime.index(one))


def test_a_cache_that_takes_some_of_many_is_not_taken_at_its_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """C25: `set_many` returns the keys that it has not kept."""
    results = [states.make(tasks.echo, [number], {}, "default") for number in range(3)]
    taking = type(caches["default"])
    kept = taking.set_many

    def lose_one(self: Any, data: dict[str, Any], *args: Any, **kwargs: Any) -> list[str]:
        *those, lost = data
        return [*kept(self, {key: data[key] for key in those}, *args, **kwargs), lost]

    recorder = Recorder(Runtime(threads=False))
    for result in results:
        recorder.record(STORE, result)
    with monkeypatch.context() as patched:
        patched.setattr(taking, "set_many", lose_one)
        with pytest.raises(NotStored):
            STORE.save(results)
    recorder.flush(0)
    assert [STORE.load(result.id).args for result in results] == [[0], [1], [2]]


def test_a_text_of_the_same_rank_replaces_another_until_the_end() -> None:
    """As metadata does that is saved while the task runs."""
    ready = states.make(tasks.echo, [], {}, "default")
    running = states.started(ready, "worker")
    for before, after, may in (
        (running, running, True),
        (ready, ready, True),
        (running, ready, False),
        (ready, running, True),
        (states.succeeded(running, 1), states.succeeded(running, 2), False),
    ):
        assert states.may_replace(states.encode(after), states.encode(before)) is may
