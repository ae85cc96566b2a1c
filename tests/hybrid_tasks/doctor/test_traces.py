"""The traces of web processes and relays, in a real cache."""

import time
from typing import Any

import pytest
from django.core.cache import caches
from django.tasks import task_backends
from pytest_django import Settings

from hybrid_tasks import traces
from hybrid_tasks.backends.eventloop import serve
from hybrid_tasks.doctor.lines import State
from hybrid_tasks.doctor.traces import look_for_relay, look_for_web
from hybrid_tasks.relay import relay
from hybrid_tasks.runtime import Runtime
from hybrid_tasks.traces import RELAY_KEY, Place, RelayTraces, last_relayed, places, serving
from project.settings import next_redis_database
from tests.hybrid_tasks.contract.waiting import until
from tests.hybrid_tasks.doctor.clinic import tasks
from tests.processes import PATIENCE, wait_until


@pytest.fixture(autouse=True)
def _shared_cache(settings: Settings, broker_url: str) -> None:
    url = broker_url
    for _ in range(12):
        url = next_redis_database(url)
    options = {"socket_timeout": PATIENCE, "socket_connect_timeout": PATIENCE}
    cache = {"BACKEND": "hybrid_tasks.caches.RedisCache", "LOCATION": url, "OPTIONS": options}
    settings.CACHES = {"default": cache}
    settings.TASKS = tasks()
    caches["default"].clear()


def test_each_process_has_a_place_of_its_own() -> None:
    first, second = Place("default", "a b/ü"), Place("default", "a b/ü")
    first.renew()
    second.renew()
    first.renew()
    assert len(serving("default", "a b/ü")) == 2
    assert serving("default", "other") == []
    first.leave()
    first.leave()
    assert len(serving("default", "a b/ü")) == 1
    third = Place("default", "a b/ü")
    third.renew()
    assert len(serving("default", "a b/ü")) == 2


def test_a_place_that_was_lost_is_taken_anew() -> None:
    ours, other = Place("default", "default"), Place("default", "default")
    ours.renew()
    caches["default"].clear()
    other.renew()  # where ours was
    ours.renew()
    assert len(serving("default", "default")) == 2
    ours.leave()
    assert len(serving("default", "default")) == 1


def test_a_process_that_is_killed_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "SERVES_SECONDS", 1)
    Place("default", "default").renew()
    assert serving("default", "default")
    wait_until(lambda: not serving("default", "default"), "its trace has ended")


def test_more_than_there_are_places_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "PLACES", 2)
    ours = [Place("default", "default") for _ in range(3)]
    for one in ours:
        one.renew()
    assert len(serving("default", "default")) == 2
    ours[0].leave()
    ours[2].renew()
    assert len(serving("default", "default")) == 2


@pytest.mark.parametrize("value", ["text", 5, None, [], {}, {"host": "h", "pid": "x"}])
def test_what_is_no_trace_is_none(value: Any) -> None:
    caches["default"].set_many(dict.fromkeys([RELAY_KEY, *places("default")[:1]], value), 60)
    assert last_relayed("default") is None
    assert serving("default", "default") == []


async def test_who_serves_is_seen_until_it_stops() -> None:
    async with serve():
        await until(lambda: len(serving("default", "default")) == 1, "it is seen")
        (line,) = look_for_web(task_backends["default"])
        assert line.state is State.OK
        assert "1 process serves it" in line.seen
    assert serving("default", "default") == []
    (line,) = look_for_web(task_backends["default"])
    assert line.state is State.WARNING


@pytest.mark.parametrize(
    ("age", "every", "state"),
    [(1, 5, State.OK), (14, 5, State.OK), (16, 5, State.BAD), (170, 60, State.OK)],
)
def test_a_relay_that_stops(age: float, every: float, state: State) -> None:
    told = {"host": "h", "pid": 1, "since": time.time() - age, "every": every}
    caches["default"].set(RELAY_KEY, told, 60)
    (line,) = look_for_relay("default")
    assert line.state is state
    assert bool(line.advice) is (state is State.BAD)
    assert "h:1" in line.seen


def test_the_relay_leaves_a_trace(outbox: str) -> None:
    assert last_relayed("default") is None
    relay()
    trace = last_relayed("default")
    assert trace is not None
    assert time.time() - trace.since < PATIENCE
    caches["default"].clear()
    relay()
    assert last_relayed("default") is None  # it does so now and then only


def test_a_cache_that_is_away_is_no_trouble_of_the_relay(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    away = {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}
    settings.CACHES = {"default": away}
    RelayTraces(Runtime()).leave(["default"])
    assert "The relay's trace cannot be kept in cache 'default'" in caplog.text
