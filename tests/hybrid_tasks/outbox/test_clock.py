"""Databases whose clocks the outbox does not know."""

from typing import Any

import pytest
from django.db import NotSupportedError, connections

from hybrid_tasks.outbox import table
from hybrid_tasks.outbox.clock import After


@pytest.mark.parametrize("vendor", ["oracle", "microsoft"])
def test_a_lease_by_an_unknown_clock_is_refused(
    vendor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C20: it was "now", so that every lease ended at once."""
    monkeypatch.setattr(connections["default"], "vendor", vendor)
    query = table.model().objects.all().query
    compiler: Any = query.get_compiler("default")
    with pytest.raises(NotSupportedError) as refused:
        compiler.compile(After(30).resolve_expression(query))
    assert str(refused.value) == (
        f"The outbox knows the clocks of mysql, postgresql, sqlite, not of {vendor}."
    )
