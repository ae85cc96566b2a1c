"""System checks: settings that would break a promise are found before the first task."""

from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.tasks import task_backends
from django.utils.module_loading import import_string

from hybrid_tasks.backends.eventloop import EventLoopBackend
from hybrid_tasks.finding import Hybrid, hybrid_backends, overflow_of
from hybrid_tasks.lifespan import Lifespan
from hybrid_tasks.outbox import mysql, packets, table
from hybrid_tasks.outbox.clock import SUPPORTED

WRAPPERS = 8  # that an application may have around it


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
    vendor = vendor_of(alias)
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


def vendor_of(alias: str) -> str:
    """Return the kind of a database, also where its driver is not installed."""
    try:
        return connections[alias].vendor
    except ImproperlyConfigured:
        engine: str = connections.settings[alias]["ENGINE"]
        return engine.rpartition(".")[2]


@checks.register
def check_lifespan(**_kwargs: Any) -> Iterable[checks.CheckMessage]:
    """Yield a warning if the server would not run its tasks; see check_application().

    Other commands need the application no more than its name: it is imported only if its module
    does not even mention Lifespan.
    """
    if not mentions_lifespan():
        yield from check_application()


@checks.register(deploy=True)
def check_lifespan_for_sure(**_kwargs: Any) -> Iterable[checks.CheckMessage]:
    """Yield a warning if the server would not run its tasks, whatever its module mentions."""
    if mentions_lifespan():
        yield from check_application()


def application_path() -> str | None:
    """Return the path of the ASGI application: as the settings say, or where Django puts it."""
    path: str | None = getattr(settings, "ASGI_APPLICATION", None)
    if path is not None:
        return path
    package = str(getattr(settings, "SETTINGS_MODULE", "") or "").rpartition(".")[0]
    usual = f"{package}.asgi"
    return f"{usual}.application" if package and source_of(usual) is not None else None


def source_of(module: str) -> str | None:
    """Return the source of a module without importing it; None if there is none."""
    try:
        spec = find_spec(module)
        return spec.loader.get_source(module) if spec and spec.loader else None  # type: ignore[attr-defined]
    except (ImportError, AttributeError, ValueError):
        return None


def mentions_lifespan() -> bool:
    path = application_path()
    return path is not None and Lifespan.__name__ in (source_of(path.rpartition(".")[0]) or "")


def check_application() -> Iterable[checks.CheckMessage]:
    """Yield a warning if the server that runs the ASGI application would not run its tasks."""
    path = application_path()
    if path is None or not any(isinstance(one, EventLoopBackend) for one in task_backends.all()):
        return
    try:
        application = import_string(path)
    except Exception as error:  # noqa: BLE001 - code of the project's own runs
        yield checks.Warning(
            f"The ASGI application {path!r} cannot be imported: {error!r}.",
            hint="Let ASGI_APPLICATION name the application that the server runs.",
            id="hybrid_tasks.W002",
        )
        return
    if not wraps_lifespan(application):
        yield checks.Warning(
            f"The ASGI application {path!r} is not wrapped in Lifespan: its server runs no tasks.",
            hint="application = hybrid_tasks.lifespan.Lifespan(get_asgi_application())",
            id="hybrid_tasks.W003",
        )


def wraps_lifespan(application: Any, depth: int = WRAPPERS) -> bool:
    """Return whether an application is a Lifespan, or holds one as middleware does."""
    if isinstance(application, Lifespan):
        return True
    held = vars(application).values() if hasattr(application, "__dict__") else ()
    return depth > 0 and any(wraps_lifespan(one, depth - 1) for one in held if callable(one))
