"""What monitors are told: the state of Celery's own library, which Flower shows, is asked."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.events.state import State

from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.contract.conftest import Contract, behind_brokers
from tests.hybrid_tasks.contract.waiting import finished, until
from tests.processes import wait_until

type Events = list[dict[str, Any]]


@contextmanager
def monitored(app: Celery) -> Iterator[tuple[State, Events]]:
    """What a monitor knows, which hears of all events in the block; and the events."""
    events: Events = []
    # Given later, the callback would not be called if an event had come before.
    state = State(callback=lambda _, event: events.append(event))
    heard = threading.Event()
    with app.connection_for_read() as connection:
        handlers = {"*": state.event, "probe": lambda _: heard.set()}
        receiver = app.events.Receiver(connection, handlers=handlers)
        listener = threading.Thread(target=receiver.capture)
        listener.start()
        try:
            # When it says that it is ready, the broker need not know: what is told then is lost.
            with app.events.default_dispatcher() as dispatcher:
                wait_until(
                    lambda: dispatcher.send("probe") or heard.wait(0.05), "the monitor hears"
                )
            yield state, events
        finally:
            receiver.should_stop = True
            listener.join()


@behind_brokers
@pytest.mark.parametrize(
    "task", [tasks.report_progress, tasks.report_progress_sync], ids=["async", "sync"]
)
async def test_progress_is_the_result_so_far(contract: Contract, tmp_path: Path, task: Any) -> None:
    gate = tmp_path / "gate"
    with monitored(contract.backend.app) as (state, _):  # type: ignore[attr-defined]
        result = await contract.of(task).aenqueue(str(gate))

        def told() -> tuple[str | None, str | None]:
            seen = state.tasks.get(result.id)
            return (seen.state, seen.result) if seen else (None, None)

        half = str({"done": 1, "total": 2, "note": "half of it"})
        await until(lambda: told() == ("STARTED", half), "half of it is told")
        gate.touch()
        await finished(result)
        await until(lambda: told()[0] == "SUCCESS", "the end is told")
        assert told()[1] == str(result.return_value)


@behind_brokers
async def test_a_task_without_progress_has_no_result_before_its_end(contract: Contract) -> None:
    with monitored(contract.backend.app) as (_, events):  # type: ignore[attr-defined]
        result = await contract.run(tasks.echo, 7)

        def told(kind: str) -> list[Any]:
            """Return the results in the events of this task: others' ends may be told late."""
            ours = [event for event in events if event.get("uuid") == result.id]
            return [event.get("result") for event in ours if event["type"] == kind]

        await until(lambda: told("task-succeeded"), "the end is told")
    assert told("task-started") == [None]
