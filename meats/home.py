"""The home page, which also shows the forms that were not accepted."""

from http import HTTPStatus

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from meats.forms import OrderForm, SubscribeForm
from meats.limits import MAX_FLAVOR_LENGTH
from meats.menu import DEFAULT_FLAVOR, DEFAULT_MEATS, MENU
from meats.models import Order

GREETING = "Hello, async Django!"
LATEST = 6


def in_public(order: Order) -> tuple[str, str]:
    """Return an order's meats, which must be loaded, and its flavor, as everybody may see them.

    Only words of ours: the home page is no notice board.
    """
    meats = [item.meat for item in order.items.all()]
    shown = [meat for meat in meats if meat in MENU]
    if len(shown) < len(meats):
        shown.append("something of their own")
    is_ours = order.flavor == DEFAULT_FLAVOR
    return ", ".join(shown), order.flavor if is_ours else "a flavor of their own"


async def render_home(
    request: HttpRequest,
    *,
    order_form: OrderForm | None = None,
    subscribe_form: SubscribeForm | None = None,
    status: int = HTTPStatus.OK,
) -> HttpResponse:
    """Render the home page with fresh forms, or with the one given and its errors."""
    # What others ordered, but neither who they are nor what they wrote.
    latest = Order.objects.prefetch_related("items").order_by("-created_at")[:LATEST]
    return render(
        request,
        "meats/home.html",
        {
            "greeting": GREETING,
            "default_meats": ", ".join(DEFAULT_MEATS),
            "default_flavor": DEFAULT_FLAVOR,
            "max_flavor_length": MAX_FLAVOR_LENGTH,
            "serves_examples": settings.SERVE_EXAMPLES,
            "flower_url": settings.FLOWER_URL,
            "order_form": order_form or OrderForm(),
            "subscribe_form": subscribe_form or SubscribeForm(),
            "latest_orders": [(order, *in_public(order)) async for order in latest],
        },
        status=status,
    )
