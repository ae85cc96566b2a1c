"""What anybody may start by looking at a page does not keep the customers waiting."""

from pathlib import Path
from typing import Any

import pytest
from django.test import AsyncClient
from django.urls import reverse
from pytest_django import Settings

from meats import ordering, tasks
from meats.rates import seconds_to_wait
from tests.meats.smokehouse import Smokehouse
from tests.processes import wait_until

EXAMPLES = ("async", "sync", "sync_to_async", "smoke_some_meats", "burn_some_meats")
BROWSER = {"accept": "text/html"}
TWENTY = ",".join("abcdefghijklmnopqrst")


@pytest.mark.parametrize("name", EXAMPLES)
async def test_none_is_there_where_they_are_off(
    name: str, async_client: AsyncClient, settings: Settings
) -> None:
    settings.SERVE_EXAMPLES = False
    assert (await async_client.get(reverse(f"meats:{name}"))).status_code == 404


@pytest.mark.django_db
async def test_the_home_page_shows_none_where_they_are_off(
    async_client: AsyncClient, settings: Settings
) -> None:
    shown = (await async_client.get("/", headers=BROWSER)).content.decode()
    settings.SERVE_EXAMPLES = False
    hidden = (await async_client.get("/", headers=BROWSER)).content.decode()
    for name in EXAMPLES:
        assert f'"{reverse(f"meats:{name}")}' in shown
        assert reverse(f"meats:{name}") not in hidden
    assert 'id="order"' in hidden


async def test_one_address_has_so_many_of_all_together(
    async_client: AsyncClient, settings: Settings
) -> None:
    settings.EXAMPLE_RATE = "3/hour"

    paths = ["/burn_some_meats/", f"/smoke_some_meats/?to_smoke={TWENTY},more", "/sync/"]
    answers = [await async_client.get(path) for path in [*paths, *paths, "/async/"]]
    assert [answer.status_code for answer in answers] == [200, 400, 502, 429, 429, 429, 429]
    refused = answers[-1]
    assert refused["Content-Type"] == "text/plain; charset=utf-8"
    assert 0 < int(refused["Retry-After"]) <= 3600
    # Neither other addresses nor the home page are counted with them.
    assert await seconds_to_wait("examples", "192.0.2.82", "EXAMPLE_RATE") == 0
    assert (await async_client.get("/")).status_code == 200


def test_they_come_after_all_that_an_order_starts() -> None:
    theirs: list[Any] = [tasks.smoke, tasks.http_call_async, tasks.http_call_in_thread]
    ours: list[Any] = [*ordering.SIDE_EFFECTS.values(), tasks.send_welcome]
    assert max(one.priority for one in theirs) < min(one.priority for one in ours)
    assert {one.backend for one in theirs}.isdisjoint(one.backend for one in ours)


def test_a_flood_of_them_delays_no_confirmation(tmp_path: Path) -> None:
    """With 300 that take 40 s each under way, from addresses without a limit."""
    smokehouse = Smokehouse(tmp_path, EXAMPLE_RATE="1000/minute", STEP_SECONDS="1")
    try:
        smokehouse.mail.start()
        smokehouse.partner.start()
        web = smokehouse.start_web(DRAIN_TIMEOUT="0")
        visitor = smokehouse.visitor()
        for _ in range(300):
            answer = visitor.http.get(f"/smoke_some_meats/?to_smoke={TWENTY}")
            assert answer.status_code == 200
        visitor.order()
        wait_until(smokehouse.mail.received, "the confirmation is there", seconds=20)
        # The flood goes on: no place was free because it had ended.
        assert "Who doesn't love smoked" not in web.output()
    finally:
        smokehouse.close()
