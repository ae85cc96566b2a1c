"""What a worker answers `manage.py doctor`, over Celery's remote control.

Not a task: that would need a queue that is served, and the cache that is to be tried.
"""

import time
from collections.abc import Mapping
from typing import Any

from celery.signals import worker_init
from django.core.cache import caches

from hybrid_tasks.results.store import PROBE_PREFIX

COMMAND = "hybrid_tasks_doctor"


def watch_questions() -> None:
    """Let the worker that this process may become answer."""
    worker_init.connect(register_command, weak=False, dispatch_uid=f"{__name__}.register_command")


def register_command(**_kwargs: Any) -> None:
    """Make the command known; in a worker only, whose code is much that nobody else needs."""
    from celery.worker.control import inspect_command

    inspect_command(name=COMMAND, visible=False)(answer)


def answer(_state: Any, probes: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Tell the time, and for each cache what this process reads where a probe was written.

    Arguments:
        probes: names of probes by the aliases of caches.

    Returns `time`, seconds since the epoch, and `caches`: by alias whether the probe was read, or
    what the cache raised.
    """
    read = {str(alias): reads(alias, name) for alias, name in (probes or {}).items()}
    return {"time": time.time(), "caches": read}


def reads(alias: str, name: str) -> bool | str:
    """Return whether a cache holds a probe, and nothing else of what it holds."""
    try:
        return bool(caches[alias].get(f"{PROBE_PREFIX}{name}") == name)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
        return repr(error)
