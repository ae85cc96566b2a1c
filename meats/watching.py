"""One reader of results for all who watch tasks in this process, however many they are."""

import asyncio
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial

from django.tasks import task_backends

from hybrid_tasks.lifespan import stopping
from hybrid_tasks.results.states import decode
from hybrid_tasks.tasks import TaskResult
from meats.progress import reading

POLL_SECONDS = 0.25


class Watch:
    """What one watcher wants to know.

    Attributes:
        changed: set when a result changed, the first read is done, or the server is stopping.
            The watcher clears it.
    """

    def __init__(self, ids: Iterable[str], known: dict[str, TaskResult]) -> None:
        self.ids = frozenset(ids)
        self.is_read = False
        self.changed = asyncio.Event()
        self._known = known

    @property
    def results(self) -> dict[str, TaskResult]:
        """The latest results by task id; of a task that nobody has stored there is none."""
        return {task_id: self._known[task_id] for task_id in self.ids if task_id in self._known}


class Reader:
    """Reads the results of all watched tasks with one read of the cache, a few times a second."""

    def __init__(self) -> None:
        self._watches: set[Watch] = set()
        self._texts: dict[str, str] = {}
        self._known: dict[str, TaskResult] = {}
        self._reading: asyncio.Task[None] | None = None
        # Its own, not one of the loop's default pool: whoever blocks those would stop all streams.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="results-reader")

    @contextmanager
    def watch(self, ids: Iterable[str]) -> Iterator[Watch]:
        """Keep a Watch of these tasks up to date in the block, on the running loop."""
        watch = Watch(ids, self._known)
        self._watches.add(watch)
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_on())
        try:
            yield watch
        finally:
            self._watches.discard(watch)

    async def _read_on(self) -> None:
        """Read until nobody watches or the server is stopping."""
        while self._watches and not stopping():
            watches = [*self._watches]
            fresh = await self._read({task_id for watch in watches for task_id in watch.ids})
            for watch in watches:
                if not watch.is_read or watch.ids & fresh:
                    watch.is_read = True
                    watch.changed.set()
            await asyncio.sleep(POLL_SECONDS)
        for watch in self._watches:
            watch.changed.set()

    async def _read(self, ids: set[str]) -> set[str]:
        """Bring `_known` up to date; return the ids of the results that changed."""
        for forgotten in self._known.keys() - ids:
            del self._known[forgotten], self._texts[forgotten]
        wanted = ids - {task_id for task_id, result in self._known.items() if result.is_finished}
        if not wanted:
            return set()
        try:
            loop = asyncio.get_running_loop()
            read = partial(read_changes, wanted, self._texts)
            fresh = await loop.run_in_executor(self._thread, read)
        except Exception as error:  # noqa: BLE001 - each cache has errors of its own
            reading.failed(error)
            return set()
        reading.worked()
        self._known.update(fresh)
        return set(fresh)


def read_changes(ids: set[str], texts: dict[str, str]) -> dict[str, TaskResult]:
    """Return the results that differ from `texts`, where their texts are kept. It blocks."""
    found = task_backends["default"].store.load_texts(ids)  # type: ignore[attr-defined]
    fresh = {}
    for task_id, text in found.items():
        if texts.get(task_id) != text:
            # A task, or a state, of another version of the code.
            with suppress(ImportError, ValueError, TypeError, KeyError):
                fresh[task_id] = decode(text)
                texts[task_id] = text
    return fresh


reader = Reader()
