"""manage.py seed_demo: the same orders for the same seed, of the last three months, once."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.management import call_command
from django.db.models import Sum
from django.utils import timezone

from meats.models import Customer, Order, OrderItem

pytestmark = pytest.mark.django_db


def seed(*more: str) -> None:
    call_command("seed_demo", "--customers=20", "--orders=50", *more, verbosity=0)


def contents() -> list[tuple[str, str, Decimal]]:
    rows = Order.objects.order_by("uuid").values_list("uuid", "customer__email", "price")
    return [(str(uuid), email, price) for uuid, email, price in rows]


def test_it_plants_whole_orders_of_the_last_months() -> None:
    seed()
    assert (Customer.objects.count(), Order.objects.count()) == (20, 50)
    oldest = timezone.now() - timedelta(days=94)
    for order in Order.objects.annotate(items_price=Sum("items__price")):
        assert order.price == order.items_price
        assert oldest < order.created_at < timezone.now()
        assert order.state == Order.State.COLLECTED


def test_a_second_run_adds_nothing_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    seed()
    seed()
    assert Order.objects.count() == 50
    assert "Seed 1 is there already" in capsys.readouterr().out
    seed("--seed=2")
    assert Order.objects.count() == 100


def test_the_same_seed_makes_the_same_orders() -> None:
    seed()
    first = contents()
    seed("--clear")
    assert contents() == first


def test_clearing_spares_what_others_ordered() -> None:
    seed("--seed=2")
    kept = contents(), OrderItem.objects.count()
    seed()
    call_command("seed_demo", "--customers=1", "--orders=0", "--clear", verbosity=0)
    assert (contents(), OrderItem.objects.count()) == kept
