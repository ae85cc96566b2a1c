"""Orders: made, shown, watched and collected."""

from http import HTTPStatus
from uuid import UUID

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import aget_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from hybrid_tasks.databases import arelease_connections
from meats import ordering, streams
from meats.adjusting import paid_for
from meats.forms import OrderForm
from meats.home import render_home
from meats.models import Order
from meats.progress import has_ended, load_results, order_progress
from meats.rates import limit_posts
from meats.responses import noindex, refuse_when_full

orders = Order.objects.prefetch_related("items")


@require_POST
@limit_posts
@refuse_when_full
async def create_order(request: HttpRequest) -> HttpResponse:
    """Store an order, start its side effects and lead to its page."""
    form = OrderForm(request.POST)
    if not form.is_valid():
        return await render_home(request, order_form=form, status=HTTPStatus.BAD_REQUEST)
    data = form.cleaned_data
    # One transaction, and Django's are sync: so one thread for all of it, not one for each query.
    order = await sync_to_async(ordering.place_order)(
        token=data["token"],
        meats=data["all_meats"],
        flavor=data["flavor"],
        name=data["name"],
        email=data["email"],
    )
    return redirect(order)


@require_safe
@never_cache
@noindex
async def show_order(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Show an order to whoever has its address."""
    order = await aget_object_or_404(orders.prefetch_related("adjustments"), uuid=uuid)
    # A look-up may need a connection itself: who waits for one must hold none.
    await arelease_connections()
    results = await load_results(order.task_ids.values())
    progress = order_progress(order, results)
    return render(
        request,
        "meats/order.html",
        {
            "order": order,
            "progress": progress,
            "items": zip(order.items.all(), progress["items"], strict=True),
            "adjustments": [*reversed(order.adjustments.all())],
            "paid": paid_for(order),
            "is_live": not has_ended(order, results),
        },
    )


@require_safe
@noindex
async def order_events(request: HttpRequest, uuid: UUID) -> HttpResponseBase:
    """Tell an order's progress while it goes on."""
    order = await aget_object_or_404(orders, uuid=uuid)
    return await streams.stream(
        request,
        order.task_ids.values(),
        lambda results: (order_progress(order, results), has_ended(order, results)),
    )


@require_POST
async def collect_order(_request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Mark a smoked order as collected: a one-off change, through the async ORM."""
    order = await aget_object_or_404(orders, uuid=uuid)
    await ordering.collect(order.uuid)
    return redirect(order)
