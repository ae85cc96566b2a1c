"""manage.py clean_up"""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from reports.cleanup.nightly import clean_up


class Command(BaseCommand):
    help = "Do the nightly cleanup now, in this process."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only count")

    def handle(self, *_args: Any, **options: Any) -> None:
        for name, count in clean_up(dry_run=options["dry_run"]).items():
            self.stdout.write(f"{count:8,} {name.replace('_', ' ')}")
