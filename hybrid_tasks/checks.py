"""System checks: settings that would break a promise are found before the first task."""

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.core import checks
from django.db import connections
from django.tasks import task_backends
from django.utils.module_loading import import_string

from hybrid_tasks.backends.eventloop import EventLoopBackend
from hybrid_tasks.finding import Hybrid, hybrid_backends, overflow_of
from hybrid_tasks.lifespan import Lifespan
from hybrid_tasks.outbox import mysql, packets, table
from hybrid_tasks.outbox.clock import SUPPORTED


@checks.register
def check_overflow(**_kwargs: Any) -> Iterable[checks.CheckMessage]:
    """Yield an error for each overflow that leads nowhere, in a circle or past a queue."""
    backends: dict[str, Any] = {backend.alias: backend for backend in task_backends.all()}
    for alias, backend in backends.items():
        target_alias = overflow_of(backend)
        if target_alias is None:
            continue
        target = backends.get(target_alias)
        if target is None or not getattr(target, "supports_accept", False):
            yield checks.Error(
                f"TASKS[{alias!r}]: option 'overflow' is {target_alias!r}, which is no backend that"
                " takes over tasks.",
                hint="Name the alias of a CeleryBackend, or None.",
                id="hybrid_tasks.E005",
            )
        elif missing := backend.queues - target.queues if target.queues else set():
            yield checks.Error(
                f"TASKS[{alias!r}]: queues {sorted(missing)} are not those of its overflow"
                f" {target_alias!r}.",
                hint=f"Add them to QUEUES of TASKS[{target_alias!r}].",
                id="hybrid_tasks.E006",
            )
        elif backend.settings.result_cache != target.settings.result_cache:
            yield checks.Error(
                f"TASKS[{alias!r}]: option 'result_cache' is {backend.settings.result_cache!r}, but"
                f" {target.settings.result_cache!r} for its overflow {target_alias!r}: a task that"
                " is handed over could not be found any more.",
                hint="Give both the same cache.",
                id="hybrid_tasks.E009",
            )


@checks.register(checks.Tags.database)
def check_database(databases: Any = None, **_kwargs: Any) -> Iterable[checks.CheckMessage]:
    """Yield an error if the outbox is in a database whose clock and locks it was not built for."""
    backends = hybrid_backends()
    if not backends:
        return
    alias = table.alias()
    if databases is not None and alias not in databases:
        return
    vendor = connections[alias].vendor
    if vendor not in SUPPORTED:
        yield checks.Error(
            f"The outbox is in the database {alias!r}, which is {vendor}: leases end by the clock"
            f" of the database, and are written for {', '.join(SUPPORTED)} only.",
            hint="Route the model hybrid_tasks.OutboxTask to one of those (DATABASE_ROUTERS).",
            id="hybrid_tasks.E020",
        )
    elif vendor == "mysql" and databases is not None:
        yield from mysql.check(connections[alias], least_packet(backends))


def least_packet(backends: Iterable[Hybrid]) -> int:
    """Return how many bytes one statement must take: arguments and metadata, each quoted."""
    largest = max(backend.settings.max_bytes for backend in backends)
    return max(packets.MIB, 4 * largest)


@checks.register(deploy=True)
def check_lifespan(**_kwargs: Any) -> Iterable[checks.CheckMessage]:
    """Yield a warning if the server that runs ASGI_APPLICATION would not run its tasks."""
    path = getattr(settings, "ASGI_APPLICATION", None)
    if path is None or not any(isinstance(one, EventLoopBackend) for one in task_backends.all()):
        return
    try:
        application = import_string(path)
    except ImportError as error:
        yield checks.Warning(
            f"ASGI_APPLICATION is {path!r}: {error}.",
            hint="Name the application that the server runs.",
            id="hybrid_tasks.W002",
        )
        return
    if not isinstance(application, Lifespan):
        yield checks.Warning(
            f"ASGI_APPLICATION {path!r} is not wrapped in Lifespan: its server runs no tasks.",
            hint="application = hybrid_tasks.lifespan.Lifespan(get_asgi_application())",
            id="hybrid_tasks.W003",
        )
