"""An entry of TASKS: what is refused in it at once, and what its checks find."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured

KEYS = {"BACKEND", "QUEUES", "OPTIONS"}


def refuse_other_types(alias: str, entry: Mapping[str, Any]) -> None:
    """Raise ImproperlyConfigured for what would be read as something else, or not at all."""
    queues, options = entry.get("QUEUES", []), entry.get("OPTIONS", {})
    if isinstance(queues, str):
        raise ImproperlyConfigured(
            f"TASKS[{alias!r}]: QUEUES is {queues!r}: it must be a list, such as [{queues!r}]."
        )
    if not isinstance(options, Mapping):
        raise ImproperlyConfigured(f"TASKS[{alias!r}]: OPTIONS is {options!r}: it must be a dict.")


def check_entry(alias: str, keys: Collection[str]) -> Iterable[checks.CheckMessage]:
    """Yield what is wrong with an entry that has these keys, or with what all entries need."""
    for key in sorted(set(keys) - KEYS):
        yield checks.Warning(
            f"TASKS[{alias!r}] has the key {key!r}, which nobody reads.",
            hint=f"Known are {', '.join(sorted(KEYS))}; what a backend takes besides, such as"
            " 'lease', belongs into OPTIONS.",
            id="hybrid_tasks.W004",
        )
    if not apps.is_installed("hybrid_tasks"):
        yield checks.Error(
            f"TASKS[{alias!r}] is a backend of hybrid_tasks, which INSTALLED_APPS lacks.",
            hint="Add 'hybrid_tasks' to INSTALLED_APPS, and run the migrations.",
            id="hybrid_tasks.E007",
        )
    if not settings.USE_TZ:
        yield checks.Error(
            f"TASKS[{alias!r}] needs USE_TZ = True: run_after, retries and leases are moments,"
            " which naive times do not tell.",
            hint="Set USE_TZ = True.",
            id="hybrid_tasks.E008",
        )
