"""Subscribing, confirming an address, and unsubscribing with one click (RFC 8058)."""

from http import HTTPStatus

from asgiref.sync import sync_to_async
from django.contrib import messages
from django.core.signing import BadSignature, SignatureExpired
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST

from meats import confirming, ordering
from meats.forms import SubscribeForm
from meats.home import render_home
from meats.rates import limit_posts
from meats.responses import noindex, refuse_when_full


@require_POST
@limit_posts
@refuse_when_full
async def subscribe(request: HttpRequest) -> HttpResponse:
    """Ask the address's owner by email; the answer does not tell who was subscribed already."""
    form = SubscribeForm(request.POST)
    if not form.is_valid():
        return await render_home(request, subscribe_form=form, status=HTTPStatus.BAD_REQUEST)
    await sync_to_async(ordering.subscribe)(form.cleaned_data["name"], form.cleaned_data["email"])
    messages.success(request, "Thank you! Please follow the link in the email that we send you.")
    return redirect("meats:index")


# The signature in the address stands for the token.
@csrf_exempt
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
async def confirm(request: HttpRequest, signed: str) -> HttpResponse:
    """Ask whose address it is (GET), for programs follow links, too; note the answer (POST)."""
    try:
        customer = await confirming.find_signed(signed)
    except SignatureExpired:
        customer = None
    except BadSignature:
        raise Http404("Not a link of ours.") from None
    if customer is None:
        return render(request, "meats/confirm.html", status=HTTPStatus.GONE)
    subscribes = request.POST.get("subscribe") == "yes"
    if request.method == "POST":
        await sync_to_async(ordering.confirm)(customer, subscribes=subscribes)
        await customer.arefresh_from_db()
    wants_subscription = customer.subscription_asked_at is not None
    context = {
        "customer": customer,
        "wants_subscription": wants_subscription,
        "is_subscribed": customer.is_subscribed,
        "is_done": request.method == "POST"
        or not (wants_subscription or not customer.confirmed_at),
    }
    return render(request, "meats/confirm.html", context)


# A mail program posts without a cookie; the signature in the address stands for the token.
@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
@noindex
async def unsubscribe(request: HttpRequest, signed: str) -> HttpResponse:
    """Ask for confirmation (GET), for programs follow links, too; unsubscribe (POST)."""
    try:
        ordering.unsubscribe_signer.unsign(signed)
    except BadSignature:
        raise Http404("Not a link of ours.") from None
    if request.method == "POST":
        await ordering.unsubscribe(signed)
    return render(request, "meats/unsubscribe.html", {"is_done": request.method == "POST"})
