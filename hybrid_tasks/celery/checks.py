"""Checks of the Celery application that a backend sends to."""

from collections.abc import Iterable

from celery import Celery
from django.core import checks


def check_celery_settings(alias: str, app: Celery) -> Iterable[checks.CheckMessage]:
    """Yield what in the settings of `app` breaks a promise."""
    where = f"TASKS[{alias!r}] sends to the Celery application {app.main!r}"
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
    if "json" not in app.conf.accept_content:
        yield checks.Error(
            f"{where}, which does not accept JSON.",
            hint="Set accept_content = ['json'].",
            id="hybrid_tasks.E012",
        )
    if app.conf.task_acks_late:
        yield checks.Warning(
            f"{where}, whose task_acks_late repeats tasks of other origin that may run only once.",
            hint="Remove it: max_attempts decides for each of our tasks.",
            id="hybrid_tasks.W010",
        )
    transport = app.conf.broker_transport_options or {}
    if "socket_timeout" not in transport and (app.conf.broker_url or "").startswith("redis"):
        yield checks.Warning(
            f"{where}, which waits without limit for a broker that hangs.",
            hint="Set broker_transport_options = {'max_retries': 0, 'socket_timeout': 1,"
            " 'socket_connect_timeout': 1}.",
            id="hybrid_tasks.W011",
        )
