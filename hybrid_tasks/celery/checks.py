"""Checks of the Celery application that a backend sends to."""

import sys
import warnings
from collections.abc import Iterable
from shlex import quote
from types import ModuleType
from typing import Any

from celery import Celery
from django.core import checks

from hybrid_tasks.celery.connecting import driver_of
from hybrid_tasks.celery.names import named
from hybrid_tasks.celery.rabbitmq import check_rabbitmq

JSON_NAMES = {"json", "application/json"}
PICKLE_NAMES = {"pickle", "application/x-python-serialize"}
USUAL_NAMES = ("app", "celery")  # of the variable that holds an application
FALLBACK = "default"  # the name of the application that Celery makes where a project has none


def check_celery_settings(
    alias: str, app: Celery, queues: Iterable[str] = ()
) -> Iterable[checks.CheckMessage]:
    """Yield what in the settings of `app` breaks a promise to a backend with these `queues`."""
    if is_fallback(app):
        yield checks.Error(
            f"TASKS[{alias!r}] finds no Celery application: messages would go to amqp://localhost.",
            hint="Import the project's application in its __init__.py, or name it by option 'app'.",
            id="hybrid_tasks.E013",
        )
        return
    where = f"TASKS[{alias!r}] sends to the Celery application {app.main!r}"
    yield from check_policies(where, app)
    if names_broker(app):
        yield from check_transport(where, app)
    else:
        yield checks.Warning(
            f"{where}, whose {named(app, 'broker_url')} says no kind of broker: Celery takes it for"
            " RabbitMQ, on localhost unless it names another host.",
            hint=f"Set {named(app, 'broker_url')}, such as 'redis://localhost:6379/0'.",
            id="hybrid_tasks.W020",
        )
    yield from check_queues(where, app, queues)
    yield from check_library(where, app)


def is_fallback(app: Celery) -> bool:
    """Return whether `app` is the one that Celery makes itself, and nobody has told it a broker."""
    if app.main != FALLBACK or app.set_as_current:
        return False
    with warnings.catch_warnings(action="ignore"):  # that it is not configured
        return not app.conf.broker_write_url


def names_broker(app: Celery) -> bool:
    """Return whether an application says what kind of broker it has, in its URL or beside it."""
    urls = app.conf.broker_write_url or ""
    urls = [urls] if isinstance(urls, str) else urls  # several are for failover
    return any("://" in url for url in urls) or bool(app.conf.broker_transport)


def check_policies(where: str, app: Celery) -> Iterable[checks.CheckMessage]:
    if app.conf.task_always_eager:
        yield checks.Error(
            f"{where}, whose task_always_eager runs tasks in the caller.",
            hint="Remove it; hybrid_tasks.testing runs tasks in tests.",
            id="hybrid_tasks.E010",
        )
    if app.conf.task_reject_on_worker_lost:
        yield checks.Error(
            f"{where}, whose task_reject_on_worker_lost repeats for ever what kills its worker.",
            hint="Remove it: tasks with attempts left are tried again without it.",
            id="hybrid_tasks.E011",
        )
    if JSON_NAMES.isdisjoint(app.conf.accept_content or ()):
        yield checks.Error(
            f"{where}, which does not accept JSON.",
            hint=f"Set {named(app, 'accept_content')} = ['json'].",
            id="hybrid_tasks.E012",
        )
    yield from check_serializers(where, app)
    if app.conf.task_acks_late:
        yield checks.Warning(
            f"{where}, whose task_acks_late repeats tasks of other origin that may run only once.",
            hint="Remove it: max_attempts decides for each of our tasks.",
            id="hybrid_tasks.W010",
        )


def check_serializers(where: str, app: Celery) -> Iterable[checks.CheckMessage]:
    """Yield what is wrong with the serializers; our own messages are JSON whatever they say."""
    accepted, ours = set(app.conf.accept_content or ()), app.conf.task_serializer
    if unsafe := sorted(accepted & PICKLE_NAMES):
        yield checks.Warning(
            f"{where}, whose workers accept {unsafe[0]!r}: who can write to the broker can have"
            " them run any code.",
            hint=f"Set {named(app, 'accept_content')} = ['json'].",
            id="hybrid_tasks.W015",
        )
    if ours not in JSON_NAMES:
        refused = "" if ours in accepted else ", which its own workers refuse"
        yield checks.Warning(
            f"{where}, whose task_serializer is {ours!r}{refused}: it is what beat and .delay()"
            " send.",
            hint=f"Set {named(app, 'task_serializer')} = 'json'.",
            id="hybrid_tasks.W016",
        )


def check_transport(where: str, app: Celery) -> Iterable[checks.CheckMessage]:
    options: dict[str, Any] = app.conf.broker_transport_options or {}
    driver = known_driver(app)
    if driver == "redis" and "socket_timeout" not in options:
        yield checks.Warning(
            f"{where}, which waits without limit for a broker that hangs.",
            hint=f"Set {named(app, 'broker_transport_options')} = {{'max_retries': 0,"
            " 'socket_timeout': 1, 'socket_connect_timeout': 1}.",
            id="hybrid_tasks.W011",
        )
    if driver == "amqp":
        yield from check_rabbitmq(where, app)
    if driver == "redis" and app.conf.task_default_priority is None:
        yield checks.Warning(
            f"{where}, which serves Celery's own tasks before ours: without a priority they have 0,"
            " which comes first on Redis.",
            hint=f"Set {named(app, 'task_default_priority')} = 5, which is that of our tasks.",
            id="hybrid_tasks.W014",
        )


def known_driver(app: Celery) -> str:
    """Return the kind of the broker; "" if its URL is not understood."""
    try:
        return driver_of(app)
    except Exception:  # noqa: BLE001 - of a wrong URL: Celery itself tells when it is used
        return ""


def check_library(where: str, app: Celery) -> Iterable[checks.CheckMessage]:
    """Yield an error if what Celery needs for its kind of broker is not installed."""
    try:
        driver_of(app)
    except ImportError as error:
        yield checks.Error(
            f"{where}, whose kind of broker needs a package that cannot be imported: {error}.",
            hint="Install it; for Redis and Valkey: pip install 'hybrid-tasks[redis]'.",
            id="hybrid_tasks.E019",
        )
    except Exception:  # noqa: BLE001, S110 - as in known_driver()
        pass


def check_queues(where: str, app: Celery, queues: Iterable[str]) -> Iterable[checks.CheckMessage]:
    """Yield a warning for queues that a worker does not serve unless it is told to."""
    if unserved := sorted(set(queues) - served_by_default(app)):
        yield checks.Warning(
            f"{where}, whose workers do not serve {', '.join(map(repr, unserved))} by themselves:"
            " what is sent there would wait for ever.",
            hint=f"Name them in {named(app, 'task_queues')} (or set"
            f" {named(app, 'task_default_queue')}, if there is one only); or start workers that"
            f" serve them, together or each its own, such as {worker_command(app, queues)}, and"
            " silence this check (SILENCED_SYSTEM_CHECKS).",
            id="hybrid_tasks.W012",
        )


def served_by_default(app: Celery) -> set[str]:
    """Return the queues that a worker serves which is told none."""
    return set(app.amqp.queues) if app.conf.task_queues else {app.conf.task_default_queue}


def worker_command(app: Celery, queues: Iterable[str]) -> str:
    """Return what to type to have a worker that serves these queues and Celery's own."""
    served = [*sorted(queues), *sorted(served_by_default(app) - set(queues))]
    return f"celery -A {module_of(app)} worker --queues {quote(','.join(served))}"


def queue_worker_command(app: Celery, queue: str) -> str:
    """Return what to type to have one more worker that serves this queue only.

    It has a name of its own: beside another one on the same machine it needs that.
    """
    options = f"--queues {quote(queue)} --hostname {quote(f'{queue}@%h')}"
    return f"celery -A {module_of(app)} worker {options}"


def module_of(app: Celery) -> str:
    """Return what `celery -A` needs to find an application; "..." if nobody can tell."""
    found = [
        (name, attribute)
        for name, module in list(sys.modules.items())
        if isinstance(module, ModuleType) and name.partition(".")[0] != "celery"
        for attribute, value in list(vars(module).items())
        if value is app
    ]
    if not found:
        return "..."
    name, attribute = min(found, key=as_it_is_named)
    usual = attribute in USUAL_NAMES
    return name.removesuffix(".celery") if usual else f"{name}:{attribute}"


def as_it_is_named(place: tuple[str, str]) -> tuple[bool, bool, int, str]:
    """Order the modules that have an application: where Celery looks for it comes first."""
    name, attribute = place
    return attribute not in USUAL_NAMES, not name.endswith(".celery"), name.count("."), name
