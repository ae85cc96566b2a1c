"""The emails that the smokehouse writes."""

from email.utils import parseaddr
from typing import Any

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.urls import reverse

from meats import confirming
from meats.models import Customer, Order


def write_message(
    name: str, subject: str, customer: Customer, message_id: str, **context: Any
) -> EmailMultiAlternatives:
    """Return the message of the templates `name`.txt and `name`.html to a customer.

    `message_id` is the same for every attempt at sending it, so that a mailbox knows a copy.
    """
    sender_domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2]
    context |= {"customer": customer, "site_url": settings.SITE_URL}
    message = EmailMultiAlternatives(
        subject,
        render_to_string(f"meats/mail/{name}.txt", context),
        to=[customer.email],
        headers={"Message-ID": f"<{message_id}@{sender_domain}>"},
    )
    message.attach_alternative(render_to_string(f"meats/mail/{name}.html", context), "text/html")
    return message


def question(customer: Customer, message_id: str) -> EmailMultiAlternatives:
    """Return the mail that asks whether an address is its reader's. It has nothing from a form."""
    return write_message(
        "question",
        "Is this your address?",
        customer,
        message_id,
        url=settings.SITE_URL + reverse("meats:confirm", args=[confirming.sign(customer)]),
        days=settings.CONFIRM_DAYS,
    )


def confirmation(order: Order, message_id: str) -> EmailMultiAlternatives:
    """Return the confirmation of an order, whose customer and items must be loaded."""
    return write_message(
        "confirmation",
        f"Your order {order.number} is in the smoker",
        order.customer,
        message_id,
        order=order,
        url=f"{settings.SITE_URL}{order.get_absolute_url()}",
    )


def welcome(customer: Customer, signed: str, message_id: str) -> EmailMultiAlternatives:
    """Return the welcome to a new subscriber, with its links to unsubscribe (RFC 8058)."""
    url = settings.SITE_URL + reverse("meats:unsubscribe", args=[signed])
    message = write_message("welcome", "Welcome to the smokehouse", customer, message_id, url=url)
    message.extra_headers["List-Unsubscribe"] = f"<{url}>"
    message.extra_headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    return message
