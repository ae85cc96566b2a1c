"""Other sides that are away for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.core.cache.backends.locmem import LocMemCache


@contextmanager
def cache_away() -> Iterator[None]:
    """Let each call of the cache fail in the block."""

    def fail(*_: object, **__: object) -> None:
        raise ConnectionError("the cache is away")

    with pytest.MonkeyPatch.context() as patch:
        for name in ("get", "get_many", "set", "set_many", "add"):
            patch.setattr(LocMemCache, name, fail)
        yield
