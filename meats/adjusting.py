"""Refunds and corrections of orders: rows of their own, and never more than was paid."""

from decimal import Decimal

from django.core.exceptions import ValidationError

from meats.models import Adjustment, Order

Kind = Adjustment.Kind


def paid_for(order: Order) -> Decimal:
    """Return what the customer has paid for an order, as refunds and corrections have left it."""
    return order.price + sum((one.amount for one in order.adjustments.all()), Decimal(0))


def signed_amount(order: Order, kind: str, amount: Decimal) -> Decimal:
    """Return what an adjustment adds to the price of an order, whose row is locked from then on.

    The amount of a refund is what is given back, above zero; that of a correction has its sign.
    Needs a transaction. Raises ValidationError for what the order does not allow.
    """
    locked = Order.objects.select_for_update().get(pk=order.pk)
    if not amount or (amount < 0 and kind == Kind.REFUND):
        raise ValidationError(
            f"{amount} is no {kind}: the amount of a refund is above zero,"
            " that of a correction above or below."
        )
    signed = -amount if kind == Kind.REFUND else amount
    paid = paid_for(locked)
    if paid + signed < 0:
        raise ValidationError(
            f"{-signed} is more than was paid for {locked}: at most {paid} can be given back."
        )
    return signed
