"""Who guesses passwords of the staff."""

import asyncio
from dataclasses import replace

import pytest
from django.contrib.auth.models import User
from django.test import AsyncClient, Client
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from pytest_django import Settings

from meats import rates
from tests.meats.test_streams import ClientFrom
from tests.processes import free_port

pytestmark = pytest.mark.django_db

LOGIN = "/admin/login/"


@pytest.fixture
def staff() -> User:
    return User.objects.create_superuser("ada", password="right")


def wrong(name: str = "ada") -> dict[str, str]:
    return {"username": name, "password": "wrong"}


@pytest.mark.django_db(transaction=True)
async def test_an_address_may_try_so_often(settings: Settings) -> None:
    await User.objects.acreate_superuser("ada", password="right")
    settings.LOGIN_RATE = "3/hour"
    one = ClientFrom("203.0.113.3")
    for number in range(3):
        assert (await one.post(LOGIN, wrong(f"somebody {number}"))).status_code == 200
    right = {"username": "ada", "password": "right", "next": "/admin/"}
    refused = await one.post(LOGIN, right)
    assert refused.status_code == 429
    assert 0 < int(refused["Retry-After"]) <= 3600
    assert "please try again in" in refused.content.decode()
    assert (await one.get("/admin/")).status_code == 302
    assert (await one.get(LOGIN)).status_code == 200
    assert (await ClientFrom("203.0.113.4").post(LOGIN, right))["Location"] == "/admin/"


@pytest.mark.django_db(transaction=True)
async def test_a_name_may_be_tried_so_often_from_anywhere(settings: Settings) -> None:
    settings.LOGIN_NAME_RATE = "3/hour"
    answers = [
        (await ClientFrom(f"198.51.100.{number}").post(LOGIN, wrong(name))).status_code
        for number, name in enumerate(["eve", "EVE", " eve ", "Eve"])
    ]
    assert answers == [200, 200, 200, 429]
    assert (await AsyncClient().post(LOGIN, wrong("somebody else"))).status_code == 200


@pytest.mark.django_db(transaction=True)
async def test_one_address_cannot_keep_a_name_out(settings: Settings) -> None:
    settings.LOGIN_RATE, settings.LOGIN_NAME_RATE = "2/hour", "5/hour"
    one = ClientFrom("203.0.113.1")
    answers = [(await one.post(LOGIN, wrong("gus"))).status_code for _ in range(9)]
    assert answers == [200] * 2 + [429] * 7
    assert (await ClientFrom("203.0.113.2").post(LOGIN, wrong("gus"))).status_code == 200


@pytest.mark.django_db(transaction=True)
async def test_while_redis_is_away_the_process_counts_for_itself(settings: Settings) -> None:
    settings.RATE_LIMIT_URL = f"async+redis://127.0.0.1:{free_port()}/0"
    settings.RATE_LIMIT_OPTIONS = {"implementation": "redispy", "socket_connect_timeout": 1}
    settings.LOGIN_RATE, settings.LOGIN_NAME_RATE = "3/hour", "5/hour"
    one = ClientFrom("203.0.113.7")
    answers = [(await one.post(LOGIN, wrong("fay"))).status_code for _ in range(5)]
    assert answers == [200, 200, 200, 429, 429]
    other = ClientFrom("203.0.113.8")
    answers = [(await other.post(LOGIN, wrong("fay"))).status_code for _ in range(3)]
    assert answers == [200, 200, 429]  # five of this name


async def test_a_process_that_counts_for_itself_forgets_in_time(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each count looks at all others: who has many addresses would hold up the loop."""
    monkeypatch.setattr(rates, "MOST_COUNTED", 20)
    settings.RATE_LIMIT_URL = f"async+redis://127.0.0.1:{free_port()}/0"
    settings.RATE_LIMIT_OPTIONS = {"implementation": "redispy", "socket_connect_timeout": 1}
    memory = rates.get_limiters().memory
    for number in range(50):
        await rates.seconds_to_wait("forgotten", f"203.0.113.{number}")
        assert 0 < len(memory.storage) <= 20 + 2
    back = SlidingWindowCounterRateLimiter(MemoryStorage())
    limiters = replace(rates.get_limiters(), shared=back)
    monkeypatch.setitem(rates._limiters, asyncio.get_running_loop(), limiters)
    await rates.seconds_to_wait("forgotten", "203.0.113.0")
    assert not memory.storage


def test_who_knows_the_password_gets_in(staff: User, client: Client) -> None:
    right = {"username": "ada", "password": "right", "next": "/admin/"}
    assert client.post(f"{LOGIN}?next=/admin/", right)["Location"] == "/admin/"
    assert client.get("/admin/").status_code == 200
