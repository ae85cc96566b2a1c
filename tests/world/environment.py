"""What is replaced under the core while worlds are played in this interpreter."""

import gc
import logging
import os
import random
import signal
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any
from unittest.mock import patch

from django.core.cache import caches
from django.tasks import task_backends
from django.tasks.signals import task_finished
from django.test import override_settings

from hybrid_tasks.results import registry
from hybrid_tasks.runtime import current
from tests.world import database, stage
from tests.world.machine import simulated_machine
from tests.world.steps.faults import forget_receivers
from tests.world.world import World

LEASE = 12
SHUFFLED = 2  # of so many histories, all but one have loops with callbacks in any order
OWN_LEASE = 30
LOOP = {"max_running": 2, "max_waiting": 2, "drain_timeout": 4}

TASKS: dict[str, Any] = {
    "default": {
        "BACKEND": "hybrid_tasks.backends.eventloop.EventLoopBackend",
        "OPTIONS": {**LOOP, "lease": LEASE, "overflow": "celery"},
    },
    "own": {
        "BACKEND": "hybrid_tasks.backends.eventloop.EventLoopBackend",
        "OPTIONS": {**LOOP, "lease": OWN_LEASE},
    },
    "celery": {
        "BACKEND": "hybrid_tasks.backends.celery.CeleryBackend",
        "OPTIONS": {"app": "tests.world.wire.app", "lease": LEASE},
    },
}
CACHES = {"default": {"BACKEND": "tests.world.cache.WorldCache", "LOCATION": ""}}

# What the core logs where it has found a fault of its own.
OWN_FAULTS = ("%s failed", "%s cannot deal with %s", "Job %s raised, which no job may")


class FaultHandler(logging.Handler):
    """Blames the core for what it logs as its own fault."""

    def emit(self, record: logging.LogRecord) -> None:
        """See logging.Handler."""
        process = stage.process()
        if record.msg in OWN_FAULTS and process is not None and process.alive:
            error = record.exc_info[1] if record.exc_info else None
            stage.world().blame(f"{process} logs: {record.getMessage()}: {error!r}")


def hear_finished(task_result: Any, **_kwargs: Any) -> None:
    process = stage.process()
    if process is not None and process.alive:
        process.world.ledger.finished(task_result, process)


def interrupted(_number: int, _frame: Any) -> None:
    """Stand for a server's own handler: a KeyboardInterrupt is a task's own then."""
    raise KeyboardInterrupt


@contextmanager
def environment(replaced_database: Any = None) -> Iterator[None]:
    """Let worlds be played in the block."""
    with ExitStack() as stack, warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # coroutines that died with their process
        stack.enter_context(override_settings(TASKS=TASKS, CACHES=CACHES))
        from tests.world import tasks  # noqa: F401 - known from here on, as by every process

        stack.enter_context(replaced_database or database.sqlite())
        stack.enter_context(quiet_logs())
        stack.enter_context(versions())
        stack.enter_context(own_interrupts())
        stack.enter_context(simulated_machine())
        task_finished.connect(hear_finished)
        stack.callback(task_finished.disconnect, hear_finished)
        for alias in TASKS:
            assert task_backends[alias]
        assert caches["default"]
        gc.collect()
        gc.freeze()
        stack.callback(gc.unfreeze)
        yield


@contextmanager
def quiet_logs() -> Iterator[None]:
    handler = FaultHandler(logging.ERROR)
    with ExitStack() as stack:
        for name in ("hybrid_tasks", "django.tasks", "django.dispatch", "asyncio"):
            logger = logging.getLogger(name)
            stack.enter_context(patch.object(logger, "propagate", False))
            stack.enter_context(patch.object(logger, "handlers", [handler]))
            stack.callback(logger.setLevel, logger.level)
            logger.setLevel(logging.ERROR)
        yield


@contextmanager
def versions() -> Iterator[None]:
    """Let processes of the old version not know the newer task."""
    find = registry.known_task

    def known_task(path: str) -> Any:
        process = stage.process()
        if process is not None and process.version < 2 and path.endswith(".newer"):
            return None
        return find(path)

    def module_of(_name: str) -> None:
        return None

    with (
        patch.object(registry, "known_task", known_task),
        patch.object(registry, "module_of", module_of),
    ):
        yield


@contextmanager
def own_interrupts() -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    with suppress(ValueError):  # not in the main thread, where there are no signals either
        signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        with suppress(ValueError):
            signal.signal(signal.SIGINT, before)


@contextmanager
def playing(seed: int) -> Iterator[World]:
    """Give a new world; all that the core does by chance comes from the seed."""
    chance = random.Random(seed)  # noqa: S311
    world = World(random.Random(seed) if seed % SHUFFLED else None)  # noqa: S311
    gc.disable()
    stage.enter(world)
    state = random.getstate()
    random.seed(seed)
    try:
        with patch.object(os, "urandom", chance.randbytes):
            database.clear_rows()
            yield world
            world.drop()
    finally:
        forget_receivers()
        random.setstate(state)
        del world.scheduler, world.context
        world.processes.clear()
        gc.enable()
        gc.collect()
        stage.leave()
        assert not hasattr(current(), "process")
