"""The outbox's table, for code that is imported before Django has loaded its models."""

from collections.abc import Collection
from typing import TYPE_CHECKING

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import router

if TYPE_CHECKING:
    from hybrid_tasks.models import OutboxQuerySet, OutboxTask

WAITING, CLAIMED, SENT, DEAD = "WAITING", "CLAIMED", "SENT", "DEAD"


def model() -> "type[OutboxTask]":
    """Return the model. Raises ImproperlyConfigured where the app is not installed."""
    try:
        found: type[OutboxTask] = apps.get_model("hybrid_tasks", "OutboxTask")
    except LookupError as error:
        raise ImproperlyConfigured(
            "The outbox is a table of hybrid_tasks, which INSTALLED_APPS lacks: add 'hybrid_tasks'"
            " there, and run manage.py migrate."
        ) from error
    return found


def alias() -> str:
    """Return the alias of the database that holds the table."""
    return router.db_for_write(model())


def rows(ids: Collection[str] | None = None) -> "OutboxQuerySet":
    """Return the rows of these tasks, or all, in the database that takes writes."""
    found = model().objects.using(alias())
    return found if ids is None else found.filter(pk__in=ids)
