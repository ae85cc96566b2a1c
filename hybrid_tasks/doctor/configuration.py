"""Asks the system checks of this package."""

from collections.abc import Iterable, Iterator

from django.core import checks
from django.core.checks.registry import registry
from django.tasks import task_backends

from hybrid_tasks.checks import check_application
from hybrid_tasks.doctor.lines import Line, State, bad, well
from hybrid_tasks.finding import hybrid_backends

PART = "settings"
OURS = "hybrid_tasks."


def look_at_settings() -> Iterator[Line]:
    """Yield a line for each message of our checks that is not silenced, or that there is none."""
    if not hybrid_backends():
        yield bad(
            PART,
            "TASKS names no backend of hybrid_tasks.",
            "Add one, such as hybrid_tasks.backends.eventloop.EventLoopBackend.",
        )
        return
    found = {(one.id, one.msg): one for one in messages() if not one.is_silenced()}
    for message in found.values():
        state = State.BAD if message.level >= checks.ERROR else State.WARNING
        yield Line(PART, state, f"{message.msg} ({message.id})", message.hint or "")
    if not found:
        yield well(PART, "no check finds anything")


def messages() -> Iterable[checks.CheckMessage]:
    """Yield what our checks say; those of others are `manage.py check`'s to tell."""
    for backend in task_backends.all():
        yield from (one for one in backend.check() if str(one.id).startswith(OURS))
    for check in registry.get_checks():
        if check.__module__.startswith(OURS):
            yield from check(app_configs=None, databases=None)
    yield from check_application()
