"""A web process: an event loop on which the core's own `serve` runs tasks."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any

from hybrid_tasks.backends.eventloop import serve
from tests.world.loop import new_loop
from tests.world.process import Process

if TYPE_CHECKING:
    from tests.world.world import World

REQUEST_SECONDS = 2.0  # that requests have to end when the server stops


class Web(Process):
    """A server's process.

    Attributes:
        loop: its event loop.
        serving: whether it has started.
    """

    kind = "web"

    def __init__(self, world: "World", name: str, *, skew: float = 0.0, version: int = 2) -> None:
        super().__init__(world, name, skew=skew, version=version)
        self.loop = new_loop(self)
        self.loops.append(self.loop)
        self.serving = False
        self._requests: dict[str, asyncio.Task[Any]] = {}
        self.cut_short = False
        self._stopped: asyncio.Event | None = None

    def start(self) -> None:
        self.loop.start("loop")
        self.loop.call_soon(self._begin)

    def _begin(self) -> None:
        self._stopped = asyncio.Event()
        self._main = self.loop.create_task(self._live())
        self._main.add_done_callback(self._over)

    async def _live(self) -> None:
        assert self._stopped is not None
        async with serve():
            self.serving = True
            await self._stopped.wait()
            # As uvicorn does: first the requests, then the end of the lifespan.
            await self._end_requests()

    async def _end_requests(self) -> None:
        for seconds in (REQUEST_SECONDS, None):
            requests = list(self._requests.values())
            if requests:
                await asyncio.wait(requests, timeout=seconds)
            for request in requests:
                request.cancel()

    def _over(self, main: asyncio.Task[None]) -> None:
        if not main.cancelled() and main.exception() is not None:
            self.world.blame(f"{self} stopped by {main.exception()!r}")
        self.loop.close()
        if self.cut_short:
            self.spawn("exit", self._exit)
        else:  # by the signal, as uvicorn's: without what a process does at its end
            self.ended = True

    def end_loop(self) -> None:
        """Let the loop end as asyncio.run() does, with all that runs on it."""
        self.stopping = self.cut_short = True
        self.loop.call_soon(self.loop.cancel_all)

    def _stop_serving(self) -> None:
        if self._stopped is not None:
            self._stopped.set()

    def stop(self) -> None:
        self.stopping = True
        self.loop.call_soon(self._stop_serving)

    def request(
        self, name: str, begin: Callable[[], Coroutine[Any, Any, Any]], told: Callable[[Any], None]
    ) -> None:
        """Await a coroutine in a request; `told` hears what it returned or raised."""

        def receive() -> None:
            self._requests[name] = task = self.loop.create_task(begin())
            task.add_done_callback(partial(self._answered, name, told))

        self.loop.call_soon(receive)

    def _answered(self, name: str, told: Callable[[Any], None], task: asyncio.Task[Any]) -> None:
        if self._requests.get(name) is task:
            del self._requests[name]
        if not task.cancelled():
            error = task.exception()
            told(task.result() if error is None else error)

    def disconnect(self, name: str) -> bool:
        """Cancel a request; return whether it was under way."""
        request = self._requests.get(name)
        if request is None:
            return False
        self.loop.call_soon(request.cancel)
        return True
