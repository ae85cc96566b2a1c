"""The project's application, with the side effects of an order as EFFECTS says."""

import os
import uuid
from types import SimpleNamespace
from typing import Any

from django.db import transaction

from project.asgi import application

__all__ = ["application"]

from meats import ordering
from project.celery import app


def nothing(order_uuid: str) -> None:
    """No worker runs it: what is measured is the sending."""


class Delayed:
    """A task of Celery's own, sent by `.delay()` when the transaction is committed."""

    def __init__(self, name: str) -> None:
        self.task = app.task(nothing, name=f"bench.{name}")

    def enqueue(self, order_uuid: str) -> Any:
        transaction.on_commit(lambda: self.task.delay(order_uuid))
        return SimpleNamespace(id=uuid.uuid4().hex)


if os.environ["EFFECTS"] == "none":
    ordering.SIDE_EFFECTS = {}
elif os.environ["EFFECTS"] == "celery":
    ordering.SIDE_EFFECTS = {name: Delayed(name) for name in ordering.SIDE_EFFECTS}  # type: ignore[misc]
