"""The tasks of these tests begin anew in each."""

from collections.abc import Iterator

import pytest

from tests.hybrid_tasks.loop import misbehaving


@pytest.fixture(autouse=True)
def _nothing_has_run() -> Iterator[None]:
    misbehaving.reset()
    yield
    for gate in misbehaving.gates.values():
        gate.set()  # no thread outlives its test for long
