"""A customer's data: all of it as JSON, and its removal, of which the sums of the books are left.

Other apps that hold something of customers take part by receivers of the two signals.
"""

import logging
import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from itertools import batched
from typing import Any
from uuid import uuid4

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Model, Q
from django.dispatch import Signal
from django.utils import timezone

from hybrid_tasks.models import OutboxTask
from meats import receipts
from meats.addresses import normalise
from meats.menu import DEFAULT_FLAVOR, MENU, OWN_FLAVOR, OWN_MEAT
from meats.models import Adjustment, Customer, Order, OrderItem

logger = logging.getLogger(__name__)

# Receivers get `customer`, and return what they hold of it as a dict that JSON can take.
exporting = Signal()
# Receivers get `customer`, and remove what they hold of it. They run in the transaction; files go
# when that is committed.
erasing = Signal()

ERASED = "erased.invalid"  # the domain of customers who are only a number
NOBODY = f"nobody@{ERASED}"  # whose orders are all that are too old to be anybody's
ERASED_REASON = "(erased)"  # of a refund: it may have named the customer
BATCH = 200  # orders

# Their argument is a customer's key.
TASKS_OF_CUSTOMERS = ("meats.tasks.send_welcome", "meats.tasks.ask_to_confirm")


def find(address: str) -> Customer | None:
    """Return the customer with an address, in whatever way it is written."""
    known = Q(email=address)  # from before addresses were written in one way
    with suppress(ValidationError):
        known |= Q(email__lower=normalise(address))
    return Customer.objects.filter(known).order_by("pk").first()


def export(customer: Customer) -> dict[str, Any]:
    """Return all that is held of a customer, for DjangoJSONEncoder."""
    data: dict[str, Any] = {
        "exported_at": timezone.now(),
        "customer": _fields(customer),
        "orders": [
            _fields(order)
            | {
                "items": [_fields(item) for item in order.items.all()],
                "adjustments": [_fields(one) for one in order.adjustments.all()],
                "receipt": receipts.read(order),
            }
            for order in customer.orders.prefetch_related("items", "adjustments").order_by(
                "created_at"
            )
        ],
    }
    for _, held in exporting.send(Customer, customer=customer):
        data.update(held)  # type: ignore[arg-type]
    return data


def _fields(row: Model) -> dict[str, Any]:
    """Return all columns of a row but its keys to others."""
    columns = [field for field in row._meta.concrete_fields if not field.is_relation]
    return {field.name: field.value_from_object(row) for field in columns}


@transaction.atomic
def erase(customer: Customer) -> None:
    """Leave nothing of a customer but a number, and of the orders what the books need.

    Harmless when repeated. What other processes do for the customer in this moment may go on.
    """
    customer = Customer.objects.select_for_update().get(pk=customer.pk)
    orders = list(customer.orders.order_by("pk"))
    _forget_tasks(customer, orders)
    _forget_history(customer, orders)
    _anonymise(orders)
    erasing.send(Customer, customer=customer)
    Customer.objects.filter(pk=customer.pk).update(
        name="",
        email=f"{customer.pk}@{ERASED}",
        confirmed_at=None,
        asked_at=None,
        subscribed_at=None,
        subscription_asked_at=None,
        unsubscribed_at=None,
    )
    logger.info("Customer %d was erased, of whom %d orders are left", customer.pk, len(orders))


def _anonymise(orders: Iterable[Order], **changes: Any) -> None:
    """Take out of orders what was typed by people and what leads to them, and make `changes`.

    Keys are new: who has an order's address finds nothing there any more.
    """
    fields = ("uuid", "token", "task_ids", "flavor", *changes)
    for batch in batched(orders, BATCH):
        for order in batch:
            # At once, not when it is committed: nobody would find it by the new key.
            receipts.path_of(order).unlink(missing_ok=True)
            order.uuid, order.token, order.task_ids = uuid4(), uuid4(), {}
            if order.flavor != DEFAULT_FLAVOR:
                order.flavor = OWN_FLAVOR
            for name, value in changes.items():
                setattr(order, name, value)
        Order.objects.bulk_update(batch, fields)
        items = OrderItem.objects.filter(order__in=batch).exclude(meat__in=MENU)
        items.update(meat=OWN_MEAT)
        Adjustment.objects.filter(order__in=batch).update(reason=ERASED_REASON)


def _forget_tasks(customer: Customer, orders: list[Order]) -> None:
    """Remove the outbox rows about the customer, and the address from others' dead letters."""
    rows = OutboxTask.objects.all()
    for batch in batched(orders, 50):
        named = Q()
        for order in batch:
            named |= Q(message__contains=str(order.uuid))
        rows.filter(named).delete()
    for row in rows.filter(task_path__in=TASKS_OF_CUSTOMERS):
        if row.content["args"][:1] == [customer.pk]:
            row.delete()
    address = re.compile(rf"(?<![\w.+-]){re.escape(customer.email)}(?![\w-])", re.IGNORECASE)
    for row in rows.dead().filter(message__icontains=customer.email):
        row.message = address.sub("(erased)", row.message)
        row.save(update_fields=["message"])


def _forget_history(customer: Customer, orders: list[Order]) -> None:
    """Remove what the admin's history says of them, which has their names."""
    for model, rows in ((Customer, [customer]), (Order, orders)):
        entries = LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(model))
        for batch in batched((str(row.pk) for row in rows), BATCH):
            entries.filter(object_id__in=batch).delete()


def forget_before(moment: datetime, *, dry_run: bool = False) -> int:
    """Make the orders before a moment nobody's, and erase customers who have no reason to be kept.

    Such a reason is an order, or a subscription. A batch is a transaction of its own. Return how
    many orders and customers there were.
    """
    old = Order.objects.filter(created_at__lt=moment).exclude(customer__email=NOBODY)
    idle = Customer.objects.filter(
        Q(subscribed_at=None) | Q(unsubscribed_at__isnull=False), created_at__lt=moment
    ).exclude(email__endswith=f"@{ERASED}")
    if dry_run:
        return old.count() + idle.exclude(orders__created_at__gte=moment).count()
    found = 0
    while batch := list(old.order_by("pk")[:BATCH]):
        with transaction.atomic():
            nobody, _ = Customer.objects.get_or_create(email=NOBODY)
            _anonymise(batch, customer=nobody)
        found += len(batch)
    for customer in idle.filter(orders=None).order_by("pk").iterator():
        erase(customer)
        found += 1
    return found
