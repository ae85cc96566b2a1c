"""manage.py relay_outbox: the relay for projects that run no beat."""

import signal
import threading
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connections

from hybrid_tasks.relay.relaying import Relayed, relay


class Command(BaseCommand):
    help = (
        "Send on what waits in the outbox: tasks whose time has come, whose process has died, or"
        " which the broker could not take. Runs until it is stopped; several at once do no harm."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="relay what is due now, then end")
        parser.add_argument(
            "--interval",
            type=float,
            default=2.0,
            metavar="SECONDS",
            help="pause between two looks at the outbox (default: %(default)g)",
        )

    def handle(self, *_args: Any, once: bool, interval: float, **_options: Any) -> None:
        if interval <= 0:
            raise CommandError(f"--interval is {interval:g}: it must be more than 0 seconds.")
        if once:
            self.report(relay())
            return
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        self.stdout.write(f"Relaying every {interval:g} s until stopped")
        while not stop.is_set():
            try:
                self.report(relay())
            except DatabaseError as error:
                self.stderr.write(f"The outbox cannot be read, will try again: {error}")
                connections.close_all()  # a broken one would stay broken
            stop.wait(interval)

    def report(self, relayed: Relayed) -> None:
        if relayed.sent or relayed.dead or relayed.kept:
            self.stdout.write(
                f"{relayed.sent} sent, {relayed.dead} dead letters,"
                f" {relayed.kept} wait for the broker"
            )
