"""Customers and what they ordered."""

from uuid import uuid4

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import Lower
from django.urls import reverse
from django.utils import timezone

from meats.addresses import normalise
from meats.limits import MAX_FLAVOR_LENGTH, MAX_MEAT_LENGTH, MAX_NAME_LENGTH


class Customer(models.Model):
    """Someone who ordered or subscribed, known by their email address.

    Attributes:
        confirmed_at: when its owner said that the address is theirs. Until then mail to it carries
            nothing that was typed into a form.
        asked_at: when the last mail that asks for that was begun.
        subscription_asked_at: when somebody asked to subscribe the address, who may not own it.
    """

    name = models.CharField(max_length=MAX_NAME_LENGTH, blank=True)
    email = models.EmailField()
    subscribed_at = models.DateTimeField(null=True, blank=True)
    unsubscribed_at = models.DateTimeField(null=True, blank=True)
    confirmed_at = models.DateTimeField(null=True, blank=True)
    asked_at = models.DateTimeField(null=True, blank=True, editable=False)
    subscription_asked_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-pk",)
        constraints = (
            models.UniqueConstraint(
                Lower("email"),
                name="customer_email_unique",
                violation_error_message="There is a customer with this email address already.",
            ),
        )

    def __str__(self) -> str:
        return f"{self.name} <{self.email}>" if self.name else self.email

    def clean(self) -> None:
        """Write the address as `addresses.normalise` does; what cannot be mailed is refused."""
        if self.email:
            try:
                self.email = normalise(self.email)
            except ValidationError as error:
                raise ValidationError({"email": error}) from error

    @property
    def first_name(self) -> str:
        """The first word of the name: all that other visitors may see."""
        return self.name.split()[0] if self.name.strip() else "Somebody"

    @property
    def is_subscribed(self) -> bool:
        return self.subscribed_at is not None and self.unsubscribed_at is None


class Order(models.Model):
    """Meats that a customer wants smoked. Whoever knows the uuid may see and collect it.

    Attributes:
        token: of the form that made the order and what it said; the same sent twice is one order.
        price: the sum of the items' prices, as it was when the order was made: what is given back
            or charged later is an Adjustment.
        task_ids: ids of the tasks that the order started, by what they do.
        asks_to_confirm: whether its email asks the customer, if need be, to confirm the address.
        mailed_at: when the email with its details was sent.
    """

    class State(models.TextChoices):
        RECEIVED = "received"
        SMOKED = "smoked"
        COLLECTED = "collected"

    uuid = models.UUIDField(default=uuid4, unique=True, editable=False)
    token = models.UUIDField(default=uuid4, unique=True, editable=False)
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="orders")
    flavor = models.CharField(max_length=MAX_FLAVOR_LENGTH)
    state = models.CharField(max_length=10, choices=State, default=State.RECEIVED)
    price = models.DecimalField(max_digits=9, decimal_places=2)
    created_at = models.DateTimeField(default=timezone.now, db_index=True)
    smoked_at = models.DateTimeField(null=True, blank=True)
    collected_at = models.DateTimeField(null=True, blank=True)
    task_ids = models.JSONField(default=dict, blank=True)
    asks_to_confirm = models.BooleanField(default=False, db_default=False, editable=False)
    mailed_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ("-created_at",)
        # A customer's orders of a period, for the reports.
        indexes = (models.Index("customer", "created_at", name="order_customer_created"),)

    def __str__(self) -> str:
        return f"Order {self.number}"

    def get_absolute_url(self) -> str:
        return reverse("meats:order", args=[self.uuid])

    @property
    def number(self) -> str:
        """The start of the uuid, for people to name the order by."""
        return self.uuid.hex[:8]


class OrderItem(models.Model):
    """One meat of an order, in the order's order."""

    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="items")
    meat = models.CharField(max_length=MAX_MEAT_LENGTH)
    price = models.DecimalField(max_digits=7, decimal_places=2)

    class Meta:
        ordering = ("pk",)

    def __str__(self) -> str:
        return self.meat


class Adjustment(models.Model):
    """Money given back for an order, or charged in addition, after it was made.

    The order stays as it was, so that a month that is over keeps its sums; this counts when it
    happens. What was wrong about it is put right by another one.

    Attributes:
        amount: what it adds to the order's price; below zero for a refund.
        reason: for the customer, whose report shows it, and whose order's page does.
        made_by: the member of the staff; None if there is no such user any more.
    """

    class Kind(models.TextChoices):
        REFUND = "refund", "Refund"
        CORRECTION = "correction", "Correction"

    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="adjustments")
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.REFUND)
    amount = models.DecimalField(max_digits=9, decimal_places=2)
    reason = models.CharField(max_length=200)
    created_at = models.DateTimeField(default=timezone.now, db_index=True, editable=False)
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, editable=False
    )

    class Meta:
        ordering = ("-created_at", "-pk")
        constraints = (
            models.CheckConstraint(condition=~models.Q(amount=0), name="adjustment_of_something"),
        )

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.amount} for {self.order}"
