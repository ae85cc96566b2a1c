"""Rows with the longest words that people type, and the paths of their pages. For `shell`."""

from decimal import Decimal

from django.utils import timezone

from meats import confirming
from meats.models import Customer, Order

customer = Customer.objects.create(
    email=f"{'a' * 64}@{'b' * 63}.{'c' * 63}.example", subscription_asked_at=timezone.now()
)
order = Order.objects.create(customer=customer, flavor="f" * 100, price=Decimal("1042.50"))
order.items.create(meat="m" * 50, price=order.price)
order.adjustments.create(amount=Decimal("-1000.00"), reason="r" * 200)
paths = [order.get_absolute_url(), f"/confirm/{confirming.sign(customer)}/"]
