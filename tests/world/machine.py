"""What the core uses of the machine, as simulated processes have it."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from hybrid_tasks import engine
from hybrid_tasks.backends import eventloop
from hybrid_tasks.celery import attempts, ordinary
from tests.world import stage, threads
from tests.world.child import Child
from tests.world.loop import SimPrivateLoop, run
from tests.world.runtime import SimThreading
from tests.world.worker import still_runs


@contextmanager
def simulated_machine() -> Iterator[None]:
    """Let threads, loops, signals and sleeps of the core be simulated in the block."""
    with ExitStack() as stack:
        stack.enter_context(patch.object(eventloop, "PrivateLoop", SimPrivateLoop))
        stack.enter_context(patch.object(engine, "threading", SimThreading()))
        stack.enter_context(patch.object(attempts, "asyncio", SimAsyncio()))
        stack.enter_context(patch.object(attempts, "signal", SimSignals()))
        stack.enter_context(patch.object(ordinary, "time", SimTime))
        stack.enter_context(patch.object(ordinary, "still_runs", still_runs))
        yield


class SimAsyncio:
    """The module `asyncio`, whose `run` runs on a simulated loop."""

    run = staticmethod(run)

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)


class SimSignals:
    """The module `signal`, whose handlers are those of the simulated process."""

    def getsignal(self, number: int) -> Any:
        """See signal."""
        process = stage.process()
        return process.handlers.get(number) if isinstance(process, Child) else None

    def signal(self, number: int, handler: Any) -> None:
        """See signal."""
        process = stage.process()
        assert isinstance(process, Child)
        process.handlers[number] = handler

    def __getattr__(self, name: str) -> Any:
        return getattr(signal, name)


class SimTime:
    """The module `time`, by the world's clock."""

    sleep = staticmethod(threads.sleep)
