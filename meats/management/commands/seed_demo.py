"""manage.py seed_demo: customers and orders to try the pages and the reports on."""

import random
import uuid
from argparse import ArgumentParser
from datetime import datetime, timedelta
from itertools import batched
from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction
from django.utils import timezone
from tqdm import tqdm

from meats.menu import DEFAULT_FLAVOR, DEFAULT_MEATS, price_of, total_price
from meats.models import Customer, Order, OrderItem

DAYS = 92
BATCH = 2_000  # orders to a transaction, so that other writers get their turn
FLAVORS = (DEFAULT_FLAVOR, "Gold Bond", "Carolina mustard", "Hickory", "Plum and chili")
MEATS = (*DEFAULT_MEATS, "tofu", "halloumi", "pork belly", "jackfruit")
FIRST_NAMES = ("Ada", "Ben", "Cleo", "Dora", "Emil", "Fay", "Gus", "Hana", "Ivo", "June", "Kofi")
LAST_NAMES = ("Ash", "Birch", "Cedar", "Elm", "Fir", "Hazel", "Larch", "Maple", "Oak", "Rowan")


class Command(BaseCommand):
    help = (
        "Add customers and orders of the last three months. The same --seed makes the same ones on"
        " the same day; one that is there already is left alone."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--customers", type=int, default=1_000, metavar="N")
        parser.add_argument("--orders", type=int, default=10_000, metavar="M")
        parser.add_argument("--seed", type=int, default=1, metavar="S")
        parser.add_argument("--clear", action="store_true", help="first remove what this seed made")

    def handle(self, *_args: Any, **options: Any) -> None:
        seed = Seed(options["seed"])
        if options["clear"]:
            self.stdout.write(f"Removed {seed.clear():,} orders of seed {seed.number}.")
        if there := seed.customers().count():
            self.stdout.write(
                f"Seed {seed.number} is there already, with {there:,} customers and"
                f" {seed.orders().count():,} orders: nothing was added."
                " Choose another --seed, or add --clear to make it anew."
            )
            return
        customers = max(1, options["customers"])
        with tqdm(total=options["orders"], unit="order", disable=options["verbosity"] < 1) as bar:
            for added in seed.plant(customers, options["orders"]):
                bar.update(added)
        self.stdout.write(f"Added {customers:,} customers and {options['orders']:,} orders.")


class Seed:
    """A set of customers and orders that a number determines, recognised by their addresses."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.domain = f"seed-{number}.example"
        self.chance = random.Random(number)  # noqa: S311 - the same ones each time
        self.end = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)

    def customers(self) -> Any:
        return Customer.objects.filter(email__endswith=f"@{self.domain}")

    def orders(self) -> Any:
        return Order.objects.filter(customer__email__endswith=f"@{self.domain}")

    @transaction.atomic
    def clear(self) -> int:
        """Remove all of it; return how many orders there were."""
        OrderItem.objects.filter(order__in=self.orders()).delete()
        _, removed = self.orders().delete()
        self.customers().delete()
        return removed.get("meats.Order", 0)

    def plant(self, customers: int, orders: int) -> Any:
        """Add it in batches; yield the number of orders in each."""
        made = Customer.objects.bulk_create(
            [self.customer(number) for number in range(customers)], batch_size=BATCH
        )
        for batch in batched(range(orders), BATCH):
            self.plant_orders(made, len(batch))
            yield len(batch)

    @transaction.atomic
    def plant_orders(self, customers: list[Customer], count: int) -> None:
        meats = [self.chance.sample(MEATS, self.chance.randint(1, 4)) for _ in range(count)]
        orders = Order.objects.bulk_create([self.order(customers, chosen) for chosen in meats])
        OrderItem.objects.bulk_create(
            OrderItem(order_id=order.pk, meat=meat, price=price_of(meat))
            for order, chosen in zip(orders, meats, strict=True)
            for meat in chosen
        )

    def customer(self, number: int) -> Customer:
        first, last = self.chance.choice(FIRST_NAMES), self.chance.choice(LAST_NAMES)
        return Customer(
            name=f"{first} {last}",
            email=f"{first}.{last}.{number}@{self.domain}".lower(),
            subscribed_at=self.moment() if self.chance.random() < 0.5 else None,
            confirmed_at=self.end,
        )

    def order(self, customers: list[Customer], meats: list[str]) -> Order:
        created = self.moment()
        smoked = created + timedelta(seconds=2 * len(meats))
        return Order(
            uuid=uuid.UUID(int=self.chance.getrandbits(128), version=4),
            token=uuid.UUID(int=self.chance.getrandbits(128), version=4),
            customer_id=self.chance.choice(customers).pk,
            flavor=self.chance.choice(FLAVORS),
            state=Order.State.COLLECTED,
            price=total_price(meats),
            created_at=created,
            smoked_at=smoked,
            collected_at=smoked + timedelta(minutes=self.chance.randint(5, 300)),
        )

    def moment(self) -> datetime:
        """Return a random second of the last DAYS days."""
        return self.end - timedelta(seconds=self.chance.randint(1, DAYS * 86_400))
