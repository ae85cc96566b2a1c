"""Valkey behind a Sentinel: what is accepted while the primary dies arrives at the next one."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from hybrid_tasks.relay import relay
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.celery import applications
from tests.hybrid_tasks.outbox import broker
from tests.hybrid_tasks.outbox.by_celery import enqueue, settled, use
from tests.hybrid_tasks.outbox.rows import State
from tests.processes import PATIENCE, wait_until
from tests.sentinel import Sentinel


@pytest.fixture
def sentinel(tmp_path: Path, settings: Settings, outbox: str) -> Iterator[Sentinel]:
    use(settings, "there")
    options = {"app": f"{applications.__name__}.sentinel", "lease": 1000}
    ours: Any = {**settings.TASKS["celery"], "OPTIONS": options}
    settings.TASKS = {**settings.TASKS, "celery": ours}
    with Sentinel(tmp_path) as running:
        applications.sentinel.conf.broker_url = running.url
        yield running


def test_a_primary_that_dies_takes_nothing_with_it(sentinel: Sentinel) -> None:
    before = {enqueue(tasks.echo, priority=number).id for number in range(-100, 101, 20)}
    assert settled() == {}
    wait_until(sentinel.replicated, "the replica has them")

    sentinel.primary.kill()
    meanwhile: set[str] = set()

    def all_over() -> bool:
        began = time.monotonic()
        meanwhile.update(enqueue(tasks.echo, durable=durable).id for durable in (False, True))
        assert time.monotonic() - began < PATIENCE / 4
        return sentinel.failed_over()

    wait_until(all_over, "the replica is the primary")
    waiting = {one for one, state in settled().items() if state == State.WAITING}
    assert waiting, "some were accepted while there was no primary"

    def all_sent() -> bool:
        relay()
        return State.WAITING not in settled().values()

    wait_until(all_sent, "the relay has sent them")
    url = f"redis://127.0.0.1:{sentinel.replica_port}/0"
    assert {message["headers"]["id"] for message in broker.messages(url)} >= before | meanwhile
