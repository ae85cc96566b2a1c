"""The tasks and backoffs that this process knows: nothing else can be named by a message.

A message is data. What it names is looked up among what the project's own code has defined; at most
a module of an installed app, or of the project, is imported to see whether it defines the task.
"""

import sys
from importlib import import_module
from types import ModuleType

from django.apps import apps
from django.conf import settings
from django.tasks import base

from hybrid_tasks.tasks import Backoff, Task, extended, known_backoff, known_task


def find_task(path: str) -> Task:
    """Return the task of a module path. Raises ImportError if this process knows none."""
    known = known_task(path)
    if known is not None:
        return known
    module_name, _, name = path.rpartition(".")
    module = module_of(module_name)
    known = known_task(path)  # defined by the import, perhaps under another name
    if known is not None:
        return known
    found = getattr(module, name, None)
    if not isinstance(found, base.Task):
        raise ImportError(f"{path} is no task that this process knows.")
    return extended(found)


def module_of(name: str) -> ModuleType | None:
    """Return a module that is imported or may be, or None. Raises what its import raises."""
    if name in sys.modules or not is_own(name):
        return sys.modules.get(name)
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            return None
        raise


def is_own(name: str) -> bool:
    """Return whether a module belongs to an installed app or to the project."""
    homes = [config.name for config in apps.get_app_configs()]
    project = str(getattr(settings, "SETTINGS_MODULE", "") or "").partition(".")[0]
    return any(name == home or name.startswith(f"{home}.") for home in (*homes, project) if home)


def find_backoff(path: str | None) -> Backoff | None:
    """Return the backoff of that path if a task of this process has it."""
    return known_backoff(path) if path else None
