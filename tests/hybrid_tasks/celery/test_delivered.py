"""What a worker does with a message: which one it runs, and what is left of it whatever happens."""

from typing import Any

import pytest
from celery.exceptions import Ignore, Reject, Retry, WorkerLostError
from django.tasks import TaskResultStatus

from hybrid_tasks.celery import ordinary
from hybrid_tasks.celery.durable import Deliveries
from hybrid_tasks.celery.message import HEADER
from hybrid_tasks.celery.worker import delivery_of
from hybrid_tasks.exceptions import TaskInterrupted, TaskLost, TaskStopped
from hybrid_tasks.execution.calling import run_function
from hybrid_tasks.outbox import inserts
from hybrid_tasks.outbox.inserts import NewRow
from hybrid_tasks.results import states
from hybrid_tasks.results.store import ResultStore
from hybrid_tasks.results.task_result import TaskResult
from hybrid_tasks.runtime import current
from hybrid_tasks.tasks import task
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.celery.away import cache_away
from tests.hybrid_tasks.celery.deliveries import backend, celery_task, delivery, run
from tests.hybrid_tasks.outbox import broker
from tests.hybrid_tasks.outbox.by_celery import settled
from tests.hybrid_tasks.outbox.rows import LEASE, State, about, is_sent, row, row_states

STORE = ResultStore("default", 1000)

pytestmark = pytest.mark.usefixtures("queue")


class Odd(BaseException):
    """Whatever else a task can raise."""


ODD: dict[str, BaseException] = {
    "MemoryError": MemoryError(),
    "SystemExit": SystemExit(3),
    "Odd": Odd(),
    "Ignore": Ignore(),
    "Reject": Reject(requeue=True),
    "Retry": Retry(),
    "WorkerLostError": WorkerLostError(),
}


@task
def raise_odd(name: str) -> None:
    raise ODD[name]


@task(max_attempts=2, backoff=lambda *_: 3.0)
def fail_near() -> None:
    raise ValueError("not yet")


@task(max_attempts=2, backoff=lambda *_: 900.0)
def fail_far() -> None:
    raise ValueError("not yet")


@pytest.fixture
def died(monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker says that it runs the task."""
    monkeypatch.setattr(ordinary, "still_runs", lambda *_, **__: False)


def sent(one: Any = tasks.echo_sync, **options: Any) -> TaskResult:
    """Return the result of an ordinary task that was sent."""
    result = states.make(one.using(backend="celery", **options), [], {}, "celery")
    STORE.save([result])
    return result


def begun(**options: Any) -> TaskResult:
    """Return the result of a task whose first attempt another process has begun."""
    result = sent(**options)
    assert STORE.begin(states.started(result, "celery@elsewhere"))
    return result


def sent_durably(one: Any = tasks.echo_sync, **options: Any) -> TaskResult:
    result = states.make(one.using(backend="celery", durable=True, **options), [], {}, "celery")
    STORE.save([result])
    inserts.insert([NewRow(result)])
    is_sent(result.id)
    return result


# --- Ordinary tasks ------------------------------------------------------------------------------


def test_the_first_delivery_runs_and_the_second_does_not() -> None:
    """P1: the claim guards `max_attempts=1`, though all is acknowledged late."""
    result = sent()
    first, second = delivery(result), delivery(result)
    first.begin()
    assert STORE.load(result.id).status == TaskResultStatus.RUNNING
    with pytest.raises(Ignore):
        second.begin()
    with first.attempt:
        run_function(first.attempt)
    assert first.finish() == {"args": [], "kwargs": {}}
    assert STORE.load(result.id).attempts == 1
    with pytest.raises(Ignore):
        delivery(result).begin()


def test_of_two_that_look_at_once_one_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    result = sent()
    first, second = delivery(result), delivery(result)
    monkeypatch.setattr(ordinary, "load", lambda *_: result)  # both have looked
    first.begin()
    with pytest.raises(Ignore):
        second.begin()


@pytest.mark.usefixtures("died")
def test_what_comes_again_after_its_process_died_begins_its_next_attempt() -> None:
    """P1: it counted as running for ever, as the message came twice."""
    result = begun(max_attempts=2)
    again = delivery(result, came_again=True)
    again.begin()
    assert again.attempt.result.attempts == 2
    assert again.attempt.result.errors[0].exception_class is TaskInterrupted


@pytest.mark.usefixtures("died")
def test_what_comes_again_without_an_attempt_left_fails(heard: list[TaskResult]) -> None:
    """P1: at most once, and not RUNNING for ever."""
    result = begun()
    with pytest.raises(TaskInterrupted):
        delivery(result, came_again=True).begin()
    kept = STORE.load(result.id)
    assert (kept.status, kept.attempts) == (TaskResultStatus.FAILED, 1)
    assert [error.exception_class for error in kept.errors] == [TaskInterrupted]
    assert [one.id for one in heard] == [result.id]


def test_what_comes_again_because_it_takes_long_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As when it takes longer than Redis' visibility timeout: its worker says that it runs."""
    asked: list[tuple[str, str]] = []

    def still_runs(_app: Any, worker_id: str, task_id: str, asked_by: str) -> bool:
        asked.append((worker_id, task_id))
        return True

    monkeypatch.setattr(ordinary, "still_runs", still_runs)
    result = begun(max_attempts=2)
    with pytest.raises(Ignore):
        delivery(result, came_again=True).begin()
    assert asked == [("celery@elsewhere", result.id)]
    assert STORE.load(result.id).status == TaskResultStatus.RUNNING


def test_what_nobody_can_be_asked_about_stays_with_the_broker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def still_runs(*_: Any, **__: Any) -> bool:
        raise ConnectionError("away")

    monkeypatch.setattr(ordinary, "still_runs", still_runs)
    with pytest.raises(Reject) as caught:
        delivery(begun(max_attempts=2), came_again=True).begin()
    assert caught.value.requeue is True


def test_an_older_message_is_not_run_instead_of_the_newer_one() -> None:
    """Its next attempt has a message of its own, which may have to wait."""
    result = begun(max_attempts=3)
    tried = states.to_retry(states.started(result, "celery@elsewhere"), ValueError("not yet"))
    STORE.save([tried])
    with pytest.raises(Ignore):
        delivery(result).begin()
    delivery(tried).begin()


def test_what_was_cancelled_never_begins() -> None:
    result = sent()
    assert backend().cancel(result.id) is True
    for came_again in (False, True):
        with pytest.raises(Ignore):
            delivery(result, came_again=came_again).begin()


def test_an_end_that_another_has_told_is_not_told_again(heard: list[TaskResult]) -> None:
    """C10: cancelled in the midst of it, whatever the function then returns."""
    result = sent()
    one = delivery(result)
    one.begin()
    with one.attempt:
        run_function(one.attempt)
        assert backend().cancel(result.id) is True
    with pytest.raises(Ignore):
        one.finish()
    assert STORE.load(result.id).status == TaskResultStatus.FAILED
    assert [(it.id, it.status) for it in heard] == [(result.id, TaskResultStatus.FAILED)]


# --- Without a cache -----------------------------------------------------------------------------


def test_a_cache_that_is_away_does_not_stop_the_work(caplog: pytest.LogCaptureFixture) -> None:
    one, durable = sent(), sent_durably()
    with cache_away():
        assert run(one) == run(durable) == {"args": [], "kwargs": {}}
    assert f"Task id={one.id} runs unclaimed" in caplog.text
    settled()
    kept = STORE.load(one.id).status, STORE.load(durable.id).status
    assert kept == (TaskResultStatus.SUCCESSFUL, TaskResultStatus.SUCCESSFUL)


def test_but_what_may_have_been_run_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most once: it came again, and nobody knows whether it had begun."""
    monkeypatch.setattr(ordinary, "UNKNOWN_SECONDS", 0)
    once, twice = sent(), sent(max_attempts=2)
    with cache_away():
        with pytest.raises(Reject) as caught:
            delivery(once, came_again=True).begin()
        delivery(twice, came_again=True).begin()
    assert caught.value.requeue is True


# --- The next attempt ----------------------------------------------------------------------------


def test_a_near_retry_is_a_message_for_then(queue: str) -> None:
    result = sent(fail_near)
    with pytest.raises(Retry) as caught:
        run(result)
    assert caught.value.when == 3.0
    assert isinstance(caught.value.exc, ValueError)
    (message,) = broker.messages(queue)
    again = broker.state_in(message)
    assert (again.id, again.attempts, len(again.errors)) == (result.id, 1, 1)
    assert again.task.run_after is not None
    assert message["headers"]["eta"] == again.task.run_after.isoformat()
    assert settled() == {}


def test_a_far_retry_waits_in_the_outbox(queue: str) -> None:
    """Not in the broker, which delivers again what waits for too long."""
    result = sent(fail_far)
    with pytest.raises(Retry):
        run(result)
    assert list(broker.messages(queue)) == []
    assert settled() == {result.id: State.WAITING}
    assert about(result.id, 900)
    assert row(result.id).attempts == 1


def test_a_retry_that_nobody_takes_stays_with_the_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ordinary.Route, "hand_on", lambda _, results, *__: results)
    with pytest.raises(Reject) as caught:
        run(sent(fail_near))
    assert caught.value.requeue is True


def test_the_time_of_a_retry_is_no_option_of_the_task(queue: str) -> None:
    result = sent(fail_near)
    with pytest.raises(Retry):
        run(result)
    (message,) = broker.messages(queue)
    one = delivery(broker.state_in(message))
    one.begin()
    assert one.attempt.result.task.run_after is None


# --- Rows ----------------------------------------------------------------------------------------


def test_a_delivery_owns_its_row_from_its_beginning_to_its_end() -> None:
    result = sent_durably()
    one = delivery(result)
    assert current().owned() == {}
    with one:
        one.begin()
        assert current().owned() == {result.id: LEASE}
        with one.attempt:
            run_function(one.attempt)
        one.finish()
    assert current().owned() == {}
    assert settled() == {}


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, MemoryError, RuntimeError])
def test_whatever_happens_the_row_is_given_back(error: type[BaseException]) -> None:
    result = sent_durably()

    def interrupted() -> None:
        with delivery(result) as one:
            one.begin()
            raise error

    with pytest.raises(error):
        interrupted()
    assert current().owned() == {}
    assert settled() == {result.id: State.WAITING}


def test_an_attempt_whose_row_is_lost_counts_no_more(heard: list[TaskResult]) -> None:
    result = sent_durably()
    with delivery(result) as one:
        one.begin()
        with one.attempt:
            run_function(one.attempt)
            current().part(Deliveries).lost({result.id})
            assert one.attempt.stop is TaskLost
        with pytest.raises(Ignore):
            one.finish()
    assert STORE.load(result.id).status == TaskResultStatus.RUNNING
    assert settled() == {result.id: State.CLAIMED}, "it is another's"
    assert heard == []


def test_the_twin_of_what_the_broker_had_already_does_not_run() -> None:
    """A broker that hung had taken the task before the outbox did: both come to workers."""
    result = sent()
    twin = states.as_durable(result)
    inserts.insert([NewRow(twin)])
    is_sent(result.id)
    one = delivery(result)
    one.begin()
    with pytest.raises(Ignore), delivery(twin) as other:
        other.begin()
    assert settled() == {result.id: State.CLAIMED}, "until its lease ends, when it is seen how"
    assert current().owned() == {}


@pytest.mark.parametrize(
    ("error", "left"),
    [(None, {}), (ValueError("bad meat"), State.DEAD)],
    ids=["succeeded", "failed"],
)
def test_the_row_of_what_has_ended_is_settled_not_run(
    error: Exception | None, left: Any, heard: list[TaskResult]
) -> None:
    """Its process died after it had told the end, and before it could settle the row."""
    result = sent_durably(max_attempts=3)
    started = states.started(result, "celery@elsewhere")
    STORE.save([states.failed(started, error) if error else states.succeeded(started, 1)])
    with pytest.raises(Ignore), delivery(result) as one:
        one.begin()
    assert settled() == ({result.id: left} if left else {})
    assert heard == []


def test_the_row_of_what_was_cancelled_goes(heard: list[TaskResult]) -> None:
    result = sent()
    assert backend().cancel(result.id) is True
    twin = states.as_durable(result)
    inserts.insert([NewRow(twin)])
    is_sent(result.id)
    with pytest.raises(Ignore), delivery(twin) as one:
        one.begin()
    assert settled() == {}
    assert len(heard) == 1


# --- What a task raises --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ODD)
def test_what_a_task_raises_means_nothing_to_celery(name: str) -> None:
    """P3: a task's MemoryError ended the whole worker; only a real signal may."""
    result = states.make(raise_odd.using(backend="celery"), [name], {}, "celery")
    with pytest.raises(TaskStopped):
        run(result)
    kept = STORE.load(result.id)
    assert kept.status == TaskResultStatus.FAILED
    assert kept.errors[-1].exception_class is type(ODD[name])


# --- Messages ------------------------------------------------------------------------------------


def test_a_message_of_an_older_version_is_understood() -> None:
    """C3: the state travelled in the header; a queue is not empty when a version is replaced."""
    result = sent()
    called = celery_task(result, headers={HEADER: states.encode(result)})
    one = delivery_of(called, result.task.module_path, [], {})
    one.begin()
    assert one.attempt.result.id == result.id


def test_a_message_without_our_header_is_a_new_task() -> None:
    """As beat sends it."""
    result = sent(tasks.scheduled)
    called = celery_task(result, headers={})
    one = delivery_of(called, result.task.module_path, ["ribs"], {"sauce": "none"})
    one.begin()
    assert one.attempt.result.args == ["ribs"]
    assert one.attempt.result.kwargs == {"sauce": "none"}


def test_a_task_of_a_backend_that_is_not_configured_here_is_left_to_others() -> None:
    """C19: during a deploy, other workers may have other settings."""
    result = states.advance(sent(), backend="newer")
    with pytest.raises(Ignore):
        delivery(result)
    assert row_states() == {result.id: State.WAITING}
