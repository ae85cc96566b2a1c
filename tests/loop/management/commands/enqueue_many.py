"""A command that enqueues tasks and is done."""

import sys
import threading
from argparse import ArgumentParser
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.core.management.base import BaseCommand

from tests.loop.tasks import wait


class Command(BaseCommand):
    """Enqueues tasks, one after the other or all at once, and writes their ids, one to a line."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("n", type=int)
        parser.add_argument("seconds", type=float)
        parser.add_argument("--at-once", action="store_true")

    def handle(self, *_args: Any, **options: Any) -> None:
        n, seconds = options["n"], options["seconds"]
        if options["at_once"]:
            ids = enqueue_at_once(n, seconds)
        else:
            ids = [wait.enqueue(seconds).id for _ in range(n)]
        for task_id in ids:
            self.stdout.write(f"id {task_id}")


def enqueue_at_once(n: int, seconds: float) -> list[str]:
    """Enqueue from `n` threads that interrupt each other wherever they can."""
    sys.setswitchinterval(1e-6)
    barrier = threading.Barrier(n)

    def enqueue(_: int) -> str:
        barrier.wait()
        return wait.enqueue(seconds).id

    with ThreadPoolExecutor(n) as pool:
        return list(pool.map(enqueue, range(n)))
