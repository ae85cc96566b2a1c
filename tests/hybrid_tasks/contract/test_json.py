"""Whatever JSON can hold comes back as it was."""

from datetime import UTC, datetime
from typing import Any

from django.tasks.base import TaskError, TaskResultStatus
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hybrid_tasks.results import states
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.contract.conftest import Contract

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
moments = st.datetimes(timezones=st.just(UTC), min_value=datetime(2000, 1, 1))  # noqa: DTZ001
errors = st.builds(TaskError, exception_class_path=st.text(), traceback=st.text())


# A machine that hangs while an example is made or run says nothing of it.
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    args=st.lists(json_values, max_size=3),
    kwargs=st.dictionaries(st.text(), json_values, max_size=3),
    changes=st.fixed_dictionaries(
        {
            "status": st.sampled_from(TaskResultStatus),
            "_return_value": json_values,
            "metadata": st.dictionaries(st.text(), json_values, max_size=3),
            "errors": st.lists(errors, max_size=3),
            "worker_ids": st.lists(st.text(), max_size=3),
            "started_at": st.none() | moments,
            "finished_at": st.none() | moments,
            "last_attempted_at": st.none() | moments,
        }
    ),
    priority=st.integers(-100, 100),
    run_after=st.none() | moments,
    timeout=st.none() | st.floats(min_value=0.001, max_value=1e6),
)
def test_a_result_is_decoded_as_it_was_encoded(
    args: list[Any],
    kwargs: dict[str, Any],
    changes: dict[str, Any],
    priority: int,
    run_after: datetime | None,
    timeout: float | None,
) -> None:
    task = tasks.echo.using(priority=priority, run_after=run_after, timeout=timeout)
    result = states.advance(states.make(task, args, kwargs, "default"), **changes)
    again = states.decode(states.encode(result))
    assert again == result
    for name in ("args", "kwargs", "metadata", "_return_value"):
        # Equality cannot tell 1 from True.
        assert repr(getattr(again, name)) == repr(getattr(result, name))


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(value=json_values)
async def test_a_task_is_given_what_it_was_enqueued_with(contract: Contract, value: Any) -> None:
    result = await contract.run(tasks.plain, value)
    assert repr(result.return_value) == repr(value)
    assert repr(result.args) == repr([value])
