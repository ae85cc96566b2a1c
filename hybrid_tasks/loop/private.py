"""An event loop of its own for a process that has no server's: a command, a shell, WSGI."""

import asyncio
import logging
import threading

from hybrid_tasks.loop.worker import LoopWorker

logger = logging.getLogger("hybrid_tasks")


class PrivateLoop:
    """Runs a worker's tasks in a daemon thread, and drains them when the process exits."""

    def __init__(self, worker: LoopWorker) -> None:
        self._worker = worker
        worker.private = True
        self._loop = asyncio.new_event_loop()

    def start(self) -> None:
        threading.Thread(
            target=self._loop.run_forever, name="hybrid-tasks-loop", daemon=True
        ).start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result()
        logger.info("%s: no server's loop here, tasks run on one of their own", self._worker.id)
        self._worker.runtime.at_exit(self._close)

    async def _open(self) -> None:
        self._worker.open()

    def _close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._worker.close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
