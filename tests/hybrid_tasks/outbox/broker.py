"""Celery applications that only send, and what they have sent, as a broker has it."""

import base64
import json
from collections.abc import Iterator
from typing import Any

from celery import Celery
from redis import Redis

from hybrid_tasks.results.states import decode
from hybrid_tasks.results.task_result import TaskResult
from tests.processes import PATIENCE

NOWHERE = "redis://127.0.0.1:1/0"


def application(name: str, url: str) -> Celery:
    app = Celery(name, set_as_current=False, broker=url)
    app.config_from_object("django.conf:settings", namespace="CELERY")
    app.conf.broker_url = url
    return app


away = application("away", NOWHERE)
there = application("there", NOWHERE)  # the fixture names a broker that is
there.conf.broker_transport_options = {
    **there.conf.broker_transport_options,
    "socket_timeout": PATIENCE,
}


def messages(url: str) -> Iterator[dict[str, Any]]:
    """Take the messages out of the default queue, whatever their priority."""
    with Redis.from_url(url) as client:
        for key in client.keys("default*"):
            while (raw := client.lpop(key)) is not None:
                yield json.loads(raw)


def state_in(message: dict[str, Any]) -> TaskResult:
    """Return the state of the task that a message carries."""
    (text,), _kwargs, _embedded = json.loads(base64.b64decode(message["body"]))
    return decode(text)
