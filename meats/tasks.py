"""The side effects that the pages start."""

import asyncio
import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx
from asgiref.sync import sync_to_async
from django.conf import settings
from django.utils import timezone

from hybrid_tasks.databases import arelease_connections
from hybrid_tasks.tasks import TaskContext, task
from meats import backoffs, confirming, messages, receipts
from meats.mail import deliver
from meats.menu import DEFAULT_FLAVOR, DEFAULT_MEATS, STEPS
from meats.models import Customer, Order
from meats.outgoing import http_client

logger = logging.getLogger(__name__)

COUNT_TO = 5
# Of an email's attempt: its sending, which has a limit of its own, and that of the one before it.
MAIL_SECONDS = 300
# What takes a place for long comes after all else where it shares a queue: a server that stops may
# hand over thousands to the one that rescues, too. Redis keeps such priorities in steps: -10 would
# be as good as 0.
SLOW = -40
# With places of their own: a hundred that wait for a slow mail server hold up nothing else.
mail_task = task(
    backend="mail",
    priority=SLOW,
    takes_context=True,
    durable=True,
    max_attempts=5,
    backoff=backoffs.for_mail,
    timeout=MAIL_SECONDS,
)
# What strangers may start by looking has places of its own, so that it takes none of the orders';
# where it shares a queue with them all the same, which is on Celery, it comes last: in the last of
# Redis' steps, for that of SLOW holds -88 too.
EXAMPLES = "examples"
LAST = -100

# For what blocks for long. The loop's default pool has a handful of threads for all of the process,
# and look-ups of host names are among those who wait for them.
blocking_threads = ThreadPoolExecutor(20, thread_name_prefix="blocking")


@task(backend=EXAMPLES, priority=LAST, timeout=120)
async def smoke(smokables: Sequence[str] = (), flavor: str = "") -> list[str]:
    """Smoke one meat after the other and apply the flavor; return what was smoked.

    Arguments:
        smokables: names of meats; none means DEFAULT_MEATS.
        flavor: the sauce; none means DEFAULT_FLAVOR.
    """
    smokables = list(smokables or DEFAULT_MEATS)
    flavor = flavor or DEFAULT_FLAVOR
    loved = "meats" if smokables[0] == "ribs" else smokables[0]

    for smokable in smokables:
        logger.info("Smoking some %s....", smokable)
        await asyncio.sleep(settings.STEP_SECONDS)
        logger.info("Applying the %s....", flavor)
        await asyncio.sleep(settings.STEP_SECONDS)
        logger.info("%s smoked.", smokable.capitalize())
    logger.info("Who doesn't love smoked %s?", loved)
    return smokables


@task(backend=EXAMPLES, priority=LAST, timeout=60)
async def http_call_async() -> int:
    """Count to five, one step each, then call the outgoing URL; return its status code."""
    for number in range(1, COUNT_TO + 1):
        await asyncio.sleep(settings.STEP_SECONDS)
        logger.info("%d", number)
    async with http_client() as client:
        response = await client.get(settings.OUTGOING_URL)
    logger.info("%s", response)
    return response.status_code


def http_call_sync() -> int:
    """Do what `http_call_async` does, blocking the thread that it runs in."""
    for number in range(1, COUNT_TO + 1):
        time.sleep(settings.STEP_SECONDS)
        logger.info("%d", number)
    response = httpx.get(settings.OUTGOING_URL, timeout=settings.OUTGOING_TIMEOUT)
    logger.info("%s", response)
    return response.status_code


@task(backend=EXAMPLES, priority=LAST, timeout=60)
async def http_call_in_thread() -> int:
    """Do it with the blocking helper, in a thread beside the event loop."""
    call = sync_to_async(http_call_sync, thread_sensitive=False, executor=blocking_threads)
    return await call()


def oversmoke() -> None:
    """Block whoever calls for five steps: what never to do on the event loop."""
    time.sleep(COUNT_TO * settings.STEP_SECONDS)
    logger.info("Who doesn't love burnt meats?")


@task(
    takes_context=True,
    durable=True,
    max_attempts=5,
    backoff=backoffs.patient,
    timeout=300,
    priority=SLOW,
)
async def smoke_order(context: TaskContext, order_uuid: str) -> None:
    """Smoke the meats of an order, step by step; an attempt goes on where the last one ended."""
    order = await Order.objects.prefetch_related("items").aget(uuid=order_uuid)
    meats = [item.meat for item in order.items.all()]
    progress = context.metadata.setdefault("progress", {"done": 0, "total": STEPS * len(meats)})
    await arelease_connections()  # a hundred who smoke must not hold a hundred connections

    while progress["done"] < progress["total"]:
        meat, step = divmod(progress["done"], STEPS)
        doing = f"Applying the {order.flavor}" if step else f"Smoking some {meats[meat]}"
        logger.info("%s....", doing)
        progress["note"] = f"{doing}…"
        await context.asave_metadata()
        await asyncio.sleep(settings.STEP_SECONDS)
        progress["done"] += 1

    progress["note"] = "All smoked."
    await Order.objects.filter(pk=order.pk, state=Order.State.RECEIVED).aupdate(
        state=Order.State.SMOKED, smoked_at=timezone.now()
    )


@mail_task
async def send_confirmation(context: TaskContext, order_uuid: str) -> None:
    """Send the customer the details of an order, or first ask whether the address is theirs."""
    order = (
        await Order.objects.select_related("customer")
        .prefetch_related("items")
        .aget(uuid=order_uuid)
    )
    task_id = context.task_result.id
    if order.customer.confirmed_at is None:
        if order.asks_to_confirm:
            await deliver(messages.question(order.customer, task_id))
    elif order.mailed_at is None and await confirming.is_within_limit(order):
        await deliver(messages.confirmation(order, task_id))
        await Order.objects.filter(pk=order.pk).aupdate(mailed_at=timezone.now())


@task(takes_context=True, durable=True, max_attempts=5, backoff=backoffs.for_partner, timeout=60)
async def notify_partner(context: TaskContext, order_uuid: str) -> int:
    """Tell the partner of an order; return their status code."""
    order = await Order.objects.prefetch_related("items").aget(uuid=order_uuid)
    await arelease_connections()  # the partner may take its time
    async with http_client() as client:
        response = await client.post(
            settings.PARTNER_URL,
            json={
                "order": order.pk,
                "meats": [item.meat for item in order.items.all()],
                "price": str(order.price),
            },
            # The same for every attempt: a partner that heard us already does nothing twice.
            headers={"Idempotency-Key": context.task_result.id},
        )
    response.raise_for_status()
    return response.status_code


# Not async: files have no async calls, so it runs in a thread of the loop's pool.
@task(durable=True, max_attempts=5, backoff=backoffs.patient, timeout=60)
def write_receipt(order_uuid: str) -> str:
    """Write the receipt of an order; return the file's name."""
    order = Order.objects.select_related("customer").get(uuid=order_uuid)
    return receipts.write(order).name


@mail_task
async def send_welcome(context: TaskContext, customer_id: int, signed: str) -> None:
    """Welcome a subscriber; `signed` is what the link to unsubscribe carries."""
    customer = await Customer.objects.aget(pk=customer_id)
    await deliver(messages.welcome(customer, signed, context.task_result.id))


@mail_task
async def ask_to_confirm(context: TaskContext, customer_id: int) -> None:
    """Ask the owner of an address whether it is theirs, and whether to subscribe it."""
    customer = await Customer.objects.aget(pk=customer_id)
    await deliver(messages.question(customer, context.task_result.id))
