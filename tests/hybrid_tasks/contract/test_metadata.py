"""Metadata: where it comes from, and how a task changes it while it runs."""

from pathlib import Path
from typing import Any

import pytest
from django.tasks import TaskResultStatus

from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.contract.conftest import Contract
from tests.hybrid_tasks.contract.waiting import finished, refreshed_until


async def test_comes_from_the_decorator(contract: Contract, tmp_path: Path) -> None:
    result = await contract.of(tasks.report_progress).aenqueue(str(tmp_path))
    assert result.metadata == {"origin": "decorator", "progress": {"done": 0, "total": 2}}
    await finished(result)


async def test_comes_from_using(contract: Contract) -> None:
    result = await contract.of(tasks.echo, metadata={"order": 7, "items": (1, 2)}).aenqueue()
    assert result.metadata == {"order": 7, "items": [1, 2]}
    assert (await finished(result)).metadata == {"order": 7, "items": [1, 2]}


@pytest.mark.parametrize(
    "task", [tasks.report_progress, tasks.report_progress_sync], ids=["async", "sync"]
)
async def test_progress_is_seen_while_the_task_runs(
    contract: Contract, tmp_path: Path, task: Any
) -> None:
    gate = tmp_path / "gate"
    result = await contract.of(task).aenqueue(str(gate))
    before = dict(result.metadata)
    await refreshed_until(
        await contract.of(task).aget_result(result.id),
        lambda it: it.metadata.get("progress", {}).get("done") == 1,
        "the progress is seen",
    )
    assert result.metadata == before  # not refreshed yet
    await result.arefresh()
    assert result.status == TaskResultStatus.RUNNING
    assert result.metadata["progress"] == {"done": 1, "total": 2, "note": "half of it"}
    gate.touch()
    await finished(result)
    assert result.metadata == result.return_value
    assert contract.backend.get_result(result.id).metadata == result.metadata


async def test_one_task_does_not_change_anothers(contract: Contract) -> None:
    first = await contract.run(tasks.change_nested_metadata)
    second = await contract.run(tasks.change_nested_metadata)
    assert (first.return_value, second.return_value) == (0, 0)
    assert first.metadata == second.metadata == {"progress": {"done": 1, "total": 1}}
    assert tasks.change_nested_metadata.metadata == {"progress": {"done": 0, "total": 1}}


async def test_what_is_no_json_cannot_be_saved(contract: Contract) -> None:
    result = await contract.run(tasks.save_unserialisable_metadata)
    assert result.status == TaskResultStatus.FAILED
    assert result.errors[0].exception_class is TypeError
    assert result.metadata == {}


async def test_given_metadata_must_be_json(contract: Contract) -> None:
    with pytest.raises(TypeError):
        contract.of(tasks.echo, metadata={"thing": object()})
