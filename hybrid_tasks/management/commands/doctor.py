"""manage.py doctor: whether all parts are there and work together."""

import json
import logging
import math
import shutil
import sys
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from hybrid_tasks.doctor.examination import Examination
from hybrid_tasks.doctor.lines import Line, State, worst
from hybrid_tasks.doctor.table import summary, table
from hybrid_tasks.doctor.words import WHOLE

LOUDER = 2  # from this verbosity on, what is logged meanwhile is seen


class Command(BaseCommand):
    help = (
        "Ask settings, database, caches, broker, workers, relay and web processes whether they are"
        " well, and send a task through each backend and back. Prints what was seen and what to do."
        " The exit code is 0 if nothing is bad (with --strict: if all is ok), else 1."
    )
    # What they say is in the table, and an error must not keep it from being printed.
    requires_system_checks = []  # noqa: RUF012 - as Django reads it

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
        parser.add_argument("--strict", action="store_true", help="let warnings fail, too")
        parser.add_argument(
            "--timeout",
            type=float,
            default=5.0,
            metavar="SECONDS",
            help="that each question may take (default: %(default)g)",
        )

    def handle(self, *_args: Any, timeout: float, verbosity: int, **options: Any) -> None:
        if not (0 < timeout < math.inf):
            raise CommandError(f"--timeout is {timeout:g}: it must be more than 0 seconds.")
        by_itself = getattr(self, "_called_from_command_line", False)
        with quiet(verbosity, restore=not by_itself):
            lines = list(Examination(timeout).lines())
        if options["json"]:
            self.print_json(lines)
        else:
            self.print_table(lines)
        fails = (State.BAD, State.WARNING) if options["strict"] else (State.BAD,)
        if worst(lines) in fails:
            sys.exit(1)

    def print_json(self, lines: Sequence[Line]) -> None:
        told = {"state": worst(lines), "lines": [asdict(line) for line in lines]}
        self.write(json.dumps(told, indent=2, ensure_ascii=False).replace(WHOLE, " "))

    def print_table(self, lines: Sequence[Line]) -> None:
        width = shutil.get_terminal_size((80, 24)).columns
        for line in [*table(lines, width, self.paint), "", summary(lines)]:
            self.write(line)

    def write(self, text: str) -> None:
        """Write a text, also what the terminal has no signs for."""
        encoding = getattr(self.stdout, "encoding", None) or "utf-8"
        self.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))

    def paint(self, state: State, text: str) -> str:
        styles = {
            State.OK: self.style.SUCCESS,
            State.WARNING: self.style.WARNING,
            State.BAD: self.style.ERROR,
        }
        painted: str = styles[state](text)
        return painted


@contextmanager
def quiet(verbosity: int, *, restore: bool) -> Iterator[None]:
    """Keep out of the log what the table tells; if not `restore`, until the process has ended.

    All at once: an ASGI application that is imported sets the levels of single loggers anew.
    """
    before = logging.root.manager.disable
    if verbosity < LOUDER:
        logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        if restore:
            logging.disable(before)
