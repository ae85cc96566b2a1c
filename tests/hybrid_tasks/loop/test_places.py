"""A task whose backoff is broken takes nobody's place."""

from typing import Any

import pytest
from django.tasks import TaskResultStatus
from pytest_django import Settings

from hybrid_tasks.backends.eventloop import serve
from hybrid_tasks.runtime import current
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.contract.unfriendly import tasks as unfriendly
from tests.hybrid_tasks.contract.unfriendly.backoffs import BROKEN
from tests.hybrid_tasks.contract.unfriendly.tasks import trying
from tests.hybrid_tasks.contract.waiting import finished, refreshed_until
from tests.hybrid_tasks.outbox.on_loop import backend, settled, use
from tests.hybrid_tasks.outbox.rows import State

pytestmark = pytest.mark.usefixtures("only_loop")


@pytest.mark.parametrize("name", BROKEN)
async def test_with_one_place_the_next_task_starts(name: str, settings: Settings) -> None:
    """C18, P4: with `max_running=1` nothing behind it started, and its lease was renewed."""
    use(settings, max_running=1, max_waiting=1)
    async with serve():
        bad: Any = await trying(name).using(durable=True).aenqueue()
        behind: Any = await tasks.plain.aenqueue("ribs")
        assert (await finished(behind)).return_value == "ribs"
        assert (await finished(bad)).status == TaskResultStatus.FAILED
        assert await settled() == {bad.id: State.DEAD}
        assert current().owned() == {}


async def test_who_waits_for_a_year_lets_others_run(settings: Settings) -> None:
    """P4: and can be cancelled all the same."""
    use(settings, max_running=1, max_waiting=1)
    async with serve():
        far: Any = await unfriendly.far_away.aenqueue()
        await refreshed_until(far, lambda it: it.errors, "its first attempt fails")
        behind: Any = await tasks.plain.aenqueue("ribs")
        assert (await finished(behind)).return_value == "ribs"
        assert await backend().acancel(far.id)
        assert (await finished(far)).attempts == 1
