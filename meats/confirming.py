"""Addresses and their owners: before one has confirmed it, mail to it has a fixed text.

Whoever types an address into a form may be a stranger to it. Such a mail carries nothing of what
was typed, goes out once an hour at most, and what the stranger asked for happens only if the owner
follows its link and says so.
"""

from datetime import timedelta
from hashlib import blake2s

from django.conf import settings
from django.core import signing
from django.db.models import Q
from django.utils import timezone

from meats.models import Customer, Order

ASK_AGAIN = timedelta(hours=1)
# Emails with the details of orders that one address gets in an hour; more orders are only made.
MAX_DETAILS = 10

signer = signing.TimestampSigner(salt="meats.confirm")


def sign(customer: Customer) -> str:
    """Return what the link in the mail carries; it is void when the address is changed."""
    return signer.sign(f"{customer.pk}-{_digest(customer.email)}")


async def find_signed(signed: str) -> Customer | None:
    """Return the customer of a link; None if there is none of this key and address any more.

    Raises signing.SignatureExpired after CONFIRM_DAYS, and signing.BadSignature.
    """
    value = signer.unsign(signed, max_age=timedelta(days=settings.CONFIRM_DAYS))
    key, _, digest = value.partition("-")
    customer = await Customer.objects.filter(pk=key).afirst()
    return customer if customer and _digest(customer.email) == digest else None


def _digest(address: str) -> str:
    return blake2s(address.encode(), digest_size=8).hexdigest()


def may_ask(customer: Customer) -> bool:
    """Return whether this order or subscription is the one whose mail asks, which it then must.

    Of those that come at once one is told so.
    """
    now = timezone.now()
    is_due = Q(asked_at=None) | Q(asked_at__lte=now - ASK_AGAIN)
    return Customer.objects.filter(is_due, pk=customer.pk).update(asked_at=now) == 1


def asks_to_confirm(customer: Customer) -> bool:
    """Return whether the email of a new order asks the customer to confirm the address."""
    return customer.confirmed_at is None and may_ask(customer)


def confirm(customer: Customer) -> list[Order]:
    """Mark an address as its owner's, once; return the latest orders that waited for that."""
    now = timezone.now()
    unconfirmed = Customer.objects.filter(pk=customer.pk, confirmed_at=None)
    # The owner is here: who asks next may have another mail at once.
    Customer.objects.filter(pk=customer.pk).update(asked_at=None)
    if not unconfirmed.update(confirmed_at=now):
        return []
    since = now - timedelta(days=settings.CONFIRM_DAYS)
    waiting = customer.orders.filter(mailed_at=None, created_at__gte=since)
    return list(waiting.order_by("-created_at", "-pk")[:MAX_DETAILS])


async def is_within_limit(order: Order) -> bool:
    """Return whether few enough orders were made before this one to mail its details.

    It depends on the orders alone, so an attempt that is repeated finds the same.
    """
    before = Order.objects.filter(
        customer_id=order.customer_id,
        created_at__gt=order.created_at - timedelta(hours=1),
        created_at__lt=order.created_at,
    )
    return await before.acount() < MAX_DETAILS
