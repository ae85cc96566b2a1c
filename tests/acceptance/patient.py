"""Requests that a slow machine may take its time to answer."""

from typing import Any

import httpx

from tests.processes import PATIENCE


def get(url: str, **options: Any) -> httpx.Response:
    return httpx.get(url, timeout=PATIENCE, **options)
