"""The threads in which functions run, and the database connections that they leave behind."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from asgiref.sync import SyncToAsync, ThreadSensitiveContext
from django.db import connections

from hybrid_tasks.runtime import Runtime


class Pool(ThreadPoolExecutor):
    """The threads for tasks whose function is sync, on the event loop.

    As many as Python's own default.
    """

    def __init__(self, _runtime: Runtime) -> None:
        threads = min(32, (os.cpu_count() or 1) + 4)
        super().__init__(threads, thread_name_prefix="hybrid-tasks")


class AttemptThread(ThreadSensitiveContext):
    """The thread in which one attempt uses the ORM, started by its first use.

    Django's connections belong to a thread: with one of its own, an attempt shares no connection
    with others, and those that it opened are closed when it ends.
    """

    async def __aexit__(self, *exc_info: Any) -> None:
        # Taken from asgiref, which would wait for the thread: a query may hang, and the loop not.
        thread = SyncToAsync.context_to_thread_executor.pop(self, None)
        if thread is not None:
            thread.submit(connections.close_all)
            thread.shutdown(wait=False)
        await super().__aexit__(*exc_info)  # type: ignore[no-untyped-call]


def then_close[T](function: Callable[[], T]) -> T:
    """Call a function and close the database connections that its thread then has."""
    try:
        return function()
    finally:
        connections.close_all()
