"""manage.py export_customer: all that is held of a customer, as JSON."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.core.serializers.json import DjangoJSONEncoder

from meats import people


class Command(BaseCommand):
    help = "Print all that is held of the customer with an email address, as JSON."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")
        parser.add_argument(
            "--output", type=Path, metavar="FILE", help="write it to a file instead"
        )

    def handle(self, *_args: Any, email: str, output: Path | None, **_options: Any) -> None:
        customer = people.find(email)
        if customer is None:
            raise CommandError(f"There is no customer with the address {email}.")
        text = json.dumps(people.export(customer), cls=DjangoJSONEncoder, indent=2)
        if output is None:
            self.stdout.write(text)
            return
        try:
            output.write_text(f"{text}\n")
        except OSError as error:
            raise CommandError(f"{output} cannot be written: {error}") from error
