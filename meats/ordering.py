"""Orders and subscriptions, made and ended: the rows, and the tasks that come with them."""

import json
from collections.abc import Sequence
from uuid import UUID, uuid4, uuid5

from django.core import signing
from django.db import transaction
from django.db.models import EmailField
from django.db.models.functions import Lower
from django.utils import timezone

from hybrid_tasks.tasks import Task
from meats import confirming
from meats.addresses import normalise
from meats.confirming import asks_to_confirm, may_ask
from meats.menu import DEFAULT_FLAVOR, price_of, total_price
from meats.models import Customer, Order, OrderItem
from meats.tasks import (
    ask_to_confirm,
    notify_partner,
    send_confirmation,
    send_welcome,
    smoke_order,
    write_receipt,
)

# What an order starts, by the name under which the order keeps the task's id.
SIDE_EFFECTS: dict[str, Task[[str], object]] = {
    "smoke": smoke_order,
    "confirmation": send_confirmation,
    "partner": notify_partner,
    "receipt": write_receipt,
}

EmailField.register_lookup(Lower)  # email__lower, which the unique index serves

unsubscribe_signer = signing.Signer(salt="meats.unsubscribe")


@transaction.atomic
def place_order(*, token: UUID, meats: Sequence[str], flavor: str, name: str, email: str) -> Order:
    """Return the order of this form: a new one, with its tasks enqueued, or the one there is.

    A form that is sent twice is one order; changed and sent again, it is a second one. Rows and
    tasks belong to one transaction: all of them are there, or nothing is.
    """
    uuid = uuid4()
    customer = find_customer(name, email)
    flavor = flavor or DEFAULT_FLAVOR
    order, is_new = Order.objects.get_or_create(
        token=uuid5(token, json.dumps([*meats, flavor, name, customer.email])),
        defaults={
            "uuid": uuid,
            "customer": customer,
            "flavor": flavor,
            "price": total_price(meats),
            # Both are called for a new order only. The first marks the customer as asked.
            "asks_to_confirm": lambda: asks_to_confirm(customer),  # type: ignore[misc]
            # Sent when the transaction is committed; the ids are known at once.
            "task_ids": lambda: {
                effect: task.enqueue(str(uuid)).id for effect, task in SIDE_EFFECTS.items()
            },
        },
    )
    if is_new:
        OrderItem.objects.bulk_create(
            OrderItem(order=order, meat=meat, price=price_of(meat)) for meat in meats
        )
    return order


@transaction.atomic
def subscribe(name: str, email: str) -> None:
    """Ask the owner of an address whether to subscribe it; who is subscribed hears nothing."""
    customer = find_customer(name, email)
    if not customer.is_subscribed:
        Customer.objects.filter(pk=customer.pk).update(subscription_asked_at=timezone.now())
        if may_ask(customer):
            ask_to_confirm.enqueue(customer.pk)


@transaction.atomic
def confirm(customer: Customer, *, subscribes: bool) -> None:
    """Do what waited for the owner of an address: mail the orders' details, perhaps subscribe."""
    for order in confirming.confirm(customer):
        order.task_ids["confirmation"] = send_confirmation.enqueue(str(order.uuid)).id
        order.save(update_fields=["task_ids"])
    asked = Customer.objects.filter(pk=customer.pk).exclude(subscription_asked_at=None)
    if not subscribes:
        asked.update(subscription_asked_at=None)
    elif asked.update(
        subscribed_at=timezone.now(), unsubscribed_at=None, subscription_asked_at=None
    ):
        send_welcome.enqueue(customer.pk, unsubscribe_signer.sign(str(customer.pk)))


def find_customer(name: str, email: str) -> Customer:
    """Return the customer with this email address; make one if there is none.

    Raises ValidationError for an address that cannot be mailed.
    """
    address = normalise(email)
    customer, _ = Customer.objects.get_or_create(
        email__lower=address, defaults={"name": name, "email": address}
    )
    return customer


async def unsubscribe(signed: str) -> None:
    """Unsubscribe a customer, once. Raises signing.BadSignature."""
    await Customer.objects.filter(
        pk=unsubscribe_signer.unsign(signed), unsubscribed_at=None
    ).aupdate(unsubscribed_at=timezone.now(), subscription_asked_at=None)


async def collect(order_uuid: UUID) -> bool:
    """Mark a smoked order as collected; return whether this call did."""
    changed = await Order.objects.filter(uuid=order_uuid, state=Order.State.SMOKED).aupdate(
        state=Order.State.COLLECTED, collected_at=timezone.now()
    )
    return changed == 1
