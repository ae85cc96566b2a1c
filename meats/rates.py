"""How often one visitor may post, counted by the `limits` package in Redis for all processes."""

import asyncio
import logging
from functools import wraps
from ipaddress import IPv6Address, ip_address
from time import time
from weakref import WeakKeyDictionary

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from limits import RateLimitItem, parse
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.storage import storage_from_string

from meats.responses import AsyncView, too_many_requests

logger = logging.getLogger(__name__)

# Connections belong to the loop that opened them.
_limiters: WeakKeyDictionary[asyncio.AbstractEventLoop, SlidingWindowCounterRateLimiter]
_limiters = WeakKeyDictionary()


def limit_posts(view: AsyncView) -> AsyncView:
    """Answer 429 and a time to come back to an address that posts more often than POST_RATE."""

    @wraps(view)
    async def limited(request: HttpRequest) -> HttpResponse:
        seconds = await seconds_to_wait(view.__name__, address_of(request))
        return too_many_requests(request, seconds) if seconds else await view(request)

    return limited


async def seconds_to_wait(action: str, address: str, setting: str = "POST_RATE") -> int:
    """Count one `action` of an address; return 0, or for how long it has none left.

    Arguments:
        setting: the setting that says how often it may.
    """
    limiter, rate = get_limiter(), parse(getattr(settings, setting))
    try:
        if await limiter.hit(rate, action, address):
            return 0
        return await left_of_window(limiter, rate, action, address)
    except Exception:
        # The limit keeps nuisances away; it must not keep customers away while Redis is.
        logger.warning("Posts cannot be counted", exc_info=True)
        return 0


async def left_of_window(
    limiter: SlidingWindowCounterRateLimiter, rate: RateLimitItem, action: str, address: str
) -> int:
    stats = await limiter.get_window_stats(rate, action, address)
    return max(1, round(stats.reset_time - time()))


def get_limiter() -> SlidingWindowCounterRateLimiter:
    """Return the limiter of the running loop."""
    loop = asyncio.get_running_loop()
    if loop not in _limiters:
        storage = storage_from_string(settings.RATE_LIMIT_URL, **settings.RATE_LIMIT_OPTIONS)
        _limiters[loop] = SlidingWindowCounterRateLimiter(storage)  # type: ignore[arg-type]
    return _limiters[loop]


def address_of(request: HttpRequest) -> str:
    """Return whom to count: the address, or of IPv6 the /64 network that one visitor has.

    A server that listens on both sees IPv4 as ::ffff:192.0.2.7: all in one network, but not one.
    """
    address = request.META.get("REMOTE_ADDR", "")
    try:
        known = ip_address(address)
    except ValueError:  # a socket file has none
        return address
    if not isinstance(known, IPv6Address):
        return address
    # By its number: with a zone (fe80::1%eth0) it has no such form.
    return str(known.ipv4_mapped) if known.ipv4_mapped else IPv6Address(int(known)).exploded[:19]
