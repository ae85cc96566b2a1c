"""The staff's login: how often it may be tried from one address, and with one name."""

from collections.abc import Callable
from functools import wraps
from hashlib import blake2s

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse

from meats.rates import address_of, seconds_to_wait
from meats.responses import AsyncView, too_many_requests


def limit_logins(login: Callable[[HttpRequest], HttpResponse]) -> AsyncView:
    """Return a login view that answers 429 to who has tried LOGIN_RATE or LOGIN_NAME_RATE times.

    Every try counts, so that the answer tells nothing about the password.
    """

    @wraps(login)
    async def limited(request: HttpRequest) -> HttpResponse:
        if request.method == "POST" and (seconds := await _seconds_to_wait(request)):
            return too_many_requests(request, seconds)
        return await sync_to_async(login)(request)

    return limited


async def _seconds_to_wait(request: HttpRequest) -> int:
    # The name counts only for who may still try: one address alone cannot lock its owner out.
    if seconds := await seconds_to_wait("login", address_of(request), "LOGIN_RATE"):
        return seconds
    name = request.POST.get("username", "").strip().casefold()
    digest = blake2s(name.encode(errors="replace"), digest_size=16).hexdigest()
    return await seconds_to_wait("login by name", digest, "LOGIN_NAME_RATE")
