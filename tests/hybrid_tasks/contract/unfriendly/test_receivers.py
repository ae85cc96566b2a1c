"""Receivers that do what they like, where tasks are enqueued and where they run."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from tests.hybrid_tasks.contract.conftest import Contract
from tests.hybrid_tasks.contract.unfriendly import tasks as unfriendly
from tests.hybrid_tasks.contract.waiting import finished

pytestmark = pytest.mark.usefixtures("relaying")

durable_or_not = pytest.mark.parametrize("durable", [False, True], ids=["ordinary", "durable"])


@pytest.fixture(autouse=True)
def _receivers() -> Iterator[None]:
    unfriendly.connect()
    yield
    unfriendly.disconnect()


@durable_or_not
async def test_a_task_is_tried_until_it_succeeds_whoever_listens(
    contract: Contract, durable: bool
) -> None:
    """C4: on `task_started`, tasks never ran; on `task_finished`, rows stayed for ever."""
    result = await finished(await contract.of(unfriendly.be_noticed, durable=durable).aenqueue())
    assert (result.return_value, result.attempts) == (2, 2)
    for status in ("READY", "RUNNING", "SUCCESSFUL"):
        await contract.ledger.until(result.id, f"noticed {status}")
    assert contract.ledger.events(result.id).count("noticed SUCCESSFUL") == 1


@durable_or_not
async def test_so_is_one_that_is_enqueued_and_runs_in_threads(
    contract: Contract, durable: bool
) -> None:
    """C4: `aenqueue` raised after the commit."""
    task = contract.of(unfriendly.be_noticed_in_thread, durable=durable)
    result: Any = await finished(await asyncio.to_thread(task.enqueue))
    assert result.return_value == "noticed"
    for status in ("READY", "RUNNING", "SUCCESSFUL"):
        await contract.ledger.until(result.id, f"noticed {status}")
