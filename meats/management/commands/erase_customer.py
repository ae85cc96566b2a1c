"""manage.py erase_customer: leave nothing of a customer but what the books need."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from meats import people


class Command(BaseCommand):
    help = (
        "Remove name, address, texts, receipts and reports of the customer with an email address."
        " The orders stay, as nobody's, for their sums. It asks first, and cannot be undone."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def handle(self, *_args: Any, email: str, yes: bool, **_options: Any) -> None:
        customer = people.find(email)
        if customer is None:
            self.stdout.write(f"There is no customer with the address {email}: nothing to erase.")
            return
        orders = customer.orders.count()
        if not yes and not self.is_confirmed(f"{customer}, of whom {orders} orders are kept"):
            raise CommandError("Nothing was erased.")
        people.erase(customer)
        self.stdout.write(f"Erased {email}: {orders} orders are left, which are nobody's.")

    def is_confirmed(self, what: str) -> bool:
        self.stdout.write(f"This erases {what}. It cannot be undone.")
        try:
            return input("Type yes to go on: ").strip().lower() == "yes"
        except EOFError:
            raise CommandError(
                "Nobody is there to answer: add --yes. Nothing was erased."
            ) from None
