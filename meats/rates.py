"""How often one visitor may do things, counted by `limits` in Redis for all processes.

While Redis is away each process counts for itself: less strictly, but nobody may guess for ever.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from ipaddress import IPv6Address, ip_address
from time import time
from typing import Any
from weakref import WeakKeyDictionary

# Whole, before `limits` looks for its version: it would find none while a thread is importing it.
import redis.asyncio  # noqa: F401
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.storage import storage_from_string

from meats.outages import Outage
from meats.responses import AsyncView, too_many_requests

MOST_COUNTED = 10_000  # of one process alone: at that many a count takes it 1 ms
counting = Outage(
    "Requests are counted by each process for itself", "Requests are counted for all processes"
)


@dataclass(frozen=True, slots=True)
class Limiters:
    """The limiters of one event loop.

    Attributes:
        shared: counts for all processes, where RATE_LIMIT_URL says.
        memory: of this process.
        own: counts there, while the other cannot.
    """

    shared: SlidingWindowCounterRateLimiter
    memory: MemoryStorage
    own: SlidingWindowCounterRateLimiter


# Connections belong to the loop that opened them.
_limiters: WeakKeyDictionary[asyncio.AbstractEventLoop, Limiters]
_limiters = WeakKeyDictionary()


def limit(setting: str, action: str = "") -> Callable[[AsyncView], AsyncView]:
    """Return a decorator that answers 429, and when to come back, to who comes too often.

    Arguments:
        setting: the setting that says how often one address may, such as "30/minute".
        action: what is counted; by default each view for itself.
    """

    def decorate(view: AsyncView) -> AsyncView:
        @wraps(view)
        async def limited(request: HttpRequest) -> HttpResponse:
            counted = action or view.__name__
            seconds = await seconds_to_wait(counted, address_of(request), setting)
            return too_many_requests(request, seconds) if seconds else await view(request)

        return limited

    return decorate


limit_posts = limit("POST_RATE")
# One count for all of them: who has tried one too often has tried enough.
limit_examples = limit("EXAMPLE_RATE", "examples")


async def seconds_to_wait(action: str, address: str, setting: str = "POST_RATE") -> int:
    """Count one `action` of an address; return 0, or for how long it has none left.

    Arguments:
        setting: the setting that says how often it may.
    """
    limiters, rate = get_limiters(), parse(getattr(settings, setting))
    try:
        seconds = await count(limiters.shared, rate, action, address)
    except Exception as error:  # noqa: BLE001 - each storage has errors of its own
        counting.failed(error)
        await forget(limiters.memory, beyond=MOST_COUNTED)
        return await count(limiters.own, rate, action, address)
    counting.worked()
    await forget(limiters.memory)
    return seconds


async def forget(memory: MemoryStorage, beyond: int = 0) -> None:
    """Forget all that was counted, if that is more than `beyond` addresses and actions.

    Each count looks at all of them, on the loop: from so many addresses nobody is limited anyway.
    """
    if len(memory.storage) > beyond:
        await memory.reset()


async def count(
    limiter: SlidingWindowCounterRateLimiter, rate: RateLimitItem, action: str, address: str
) -> int:
    """See seconds_to_wait(). Raises what the limiter's storage raises."""
    is_within = await limiter.hit(rate, action, address)
    return 0 if is_within else await left_of_window(limiter, rate, action, address)


async def left_of_window(
    limiter: SlidingWindowCounterRateLimiter, rate: RateLimitItem, action: str, address: str
) -> int:
    stats = await limiter.get_window_stats(rate, action, address)
    return max(1, round(stats.reset_time - time()))


def get_limiters() -> Limiters:
    """Return the limiters of the running loop."""
    loop = asyncio.get_running_loop()
    if loop not in _limiters:
        storage: Any = storage_from_string(settings.RATE_LIMIT_URL, **settings.RATE_LIMIT_OPTIONS)
        memory = MemoryStorage()
        _limiters[loop] = Limiters(
            shared=SlidingWindowCounterRateLimiter(storage),
            memory=memory,
            own=SlidingWindowCounterRateLimiter(memory),
        )
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
