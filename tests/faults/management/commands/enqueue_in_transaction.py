"""A command that enqueues in one transaction and dies, or rolls back."""

import os
import signal
from argparse import ArgumentParser
from itertools import count
from typing import Any

from celery.signals import before_task_publish
from django.core.management.base import BaseCommand
from django.db import transaction

from tests.faults.journal import record
from tests.faults.tasks import again, once

PUBLISHED = 20  # messages that reach the broker before the process dies


class Command(BaseCommand):
    """Enqueues for Celery in one transaction; is killed once 20 messages have been published."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("n", type=int)
        parser.add_argument("--roll-back", action="store_true")

    def handle(self, *_args: Any, n: int, roll_back: bool, **_options: Any) -> None:
        numbers = count(1)

        def die(**_: Any) -> None:
            if next(numbers) > PUBLISHED:
                record("kill", str(os.getpid()), "-")
                os.kill(os.getpid(), signal.SIGKILL)

        before_task_publish.connect(die, weak=False)
        with transaction.atomic():
            for number in range(n):
                task = (again, once)[number % 2].using(backend="celery")
                result = task.enqueue(0)
                if not roll_back:  # accepted if this is committed, of which nothing can tell
                    record("accept", result.id, task.name)
            if roll_back:
                transaction.set_rollback(True)
