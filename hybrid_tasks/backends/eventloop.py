"""The backend that runs tasks on the web server's event loop."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext, suppress
from functools import partial
from typing import Any

from django.tasks import task_backends

from hybrid_tasks import announcements
from hybrid_tasks.backends.base import HybridBackend, then_close_if_threaded
from hybrid_tasks.django_types import DjangoTask
from hybrid_tasks.exceptions import TaskCancelled, TaskQueueFull
from hybrid_tasks.loop.private import PrivateLoop
from hybrid_tasks.loop.runner import RunnerClosed, RunnerFull
from hybrid_tasks.loop.worker import LoopWorker, Workers
from hybrid_tasks.options import EventLoopOptions, Options
from hybrid_tasks.outbox import claims
from hybrid_tasks.outbox.writer import writer
from hybrid_tasks.relay.relaying import adopt, relay_due
from hybrid_tasks.results import states
from hybrid_tasks.results.recorder import recorder
from hybrid_tasks.results.task_result import TaskResult
from hybrid_tasks.runtime import current
from hybrid_tasks.tasks import Task, extended
from hybrid_tasks.traces import Place

logger = logging.getLogger("hybrid_tasks")

ADOPTED = 100  # rows taken over at once
CANCEL_SECONDS = 10.0  # that a thread waits for the loop, which may be blocked or have ended
ADOPT_SECONDS = 5.0  # that a stopping process waits for the rows which it is taking over
TRACE_SECONDS = 10.0  # between two renewals of the trace by which a process is seen to serve
TRACE_END_SECONDS = 2.0  # that a stopping process waits for the cache to remove it


def workers() -> Workers:
    """Return this process's workers by backend alias."""
    return current().part(Workers)


class EventLoopBackend(HybridBackend[EventLoopOptions]):
    """Runs tasks on the server's loop; what it cannot take goes to the backend `overflow`."""

    options_class = EventLoopOptions

    @property
    def keeps_its_own(self) -> bool:
        """Whether this backend's rows are run on event loops only."""
        return self.settings.overflow is None

    @property
    def defers_to_outbox(self) -> bool:  # type: ignore[override]
        return not self.keeps_its_own

    def validate_task(self, task: DjangoTask) -> None:
        """See Django's: what another package has defined must be known where it overflows to."""
        super().validate_task(task)
        taker = None if isinstance(task, Task) else self.overflow()
        if taker is not None:
            taker.validate_task(task)

    async def adispatch(self, result: TaskResult) -> None:
        """Start the task beside the caller. Raises TaskQueueFull; it never waits."""
        self.dispatch(result)

    def dispatch(self, result: TaskResult) -> None:
        """Give a task to this process's worker or to the overflow. Raises TaskQueueFull."""
        try:
            worker = self._worker()
            worker.admit()
        except (RunnerFull, RunnerClosed) as error:
            self._overflow(result, error)
            announcements.enqueued.send(type(self), result)
            return
        self.accepted(result)
        try:
            worker.submit(result)
        except RunnerClosed as error:  # in another thread, since it admitted the task
            self._overflow(result, error)

    def _overflow(self, result: TaskResult, error: Exception) -> None:
        taker = self.overflow()
        if taker is None:
            raise TaskQueueFull from error
        taker.accept(result)

    def _worker(self) -> LoopWorker:
        """Return this process's worker. Raises RunnerClosed if the overflow has to do instead."""
        here = workers()
        worker = here.get(self.alias)
        if worker is not None and self._suits(worker):
            return worker
        if self.settings.overflow is not None:
            raise RunnerClosed
        with here.starting:
            worker = here.get(self.alias)
            if worker is not None and self._suits(worker):  # another thread was first
                return worker
            worker = self.new_worker()
            PrivateLoop(worker).start()
            here[self.alias] = worker
            return worker

    def _suits(self, worker: LoopWorker) -> bool:
        """Return whether a worker is a server's, or runs tasks as the settings now say.

        A test may have changed them since a private loop was started; that keeps what it has.
        """
        theirs = (worker.options, worker.store, worker.sender)
        return not worker.private or theirs == (self.settings, self.store, type(self))

    def new_worker(self) -> LoopWorker:
        return LoopWorker(
            current(), self.settings, self.store, sender=type(self), successor=self.overflow
        )

    def overflow(self) -> HybridBackend[Options] | None:
        """Return the backend that takes what this one cannot, if there is one."""
        alias = self.settings.overflow
        if alias is None:
            return None
        taker: Any = task_backends[alias]
        return taker  # type: ignore[no-any-return]

    def local_result(self, result_id: str) -> TaskResult | None:
        worker = workers().get(self.alias)
        held = worker.find(result_id) if worker else None
        if held is not None:
            return held
        taker = self.overflow()
        return super().local_result(result_id) if taker is None else taker.local_result(result_id)

    def runs_here(self, result_id: str) -> bool:
        worker = workers().get(self.alias)
        held = worker.find(result_id) if worker else None
        return held is not None and not extended(held.task).durable

    def cancel(self, result_id: str) -> bool:
        """Cancel a task; return whether it had not ended.

        A task that waits never starts. One that runs gets CancelledError; its result fails with
        TaskCancelled when it has cleaned up. A task that another process runs on its loop cannot be
        reached from here: False. Raises TaskResultDoesNotExist, and DatabaseError if the database
        is away for a durable task that waits: its row tells whether it has not begun elsewhere.
        """
        worker = self._worker_to_ask(result_id)
        if worker and current().result_of(worker.cancel(result_id), CANCEL_SECONDS):
            return True
        return self._cancel_by_row(self.get_result(result_id))

    async def acancel(self, result_id: str) -> bool:
        """See cancel()."""
        worker = self._worker_to_ask(result_id)
        if worker is not None:
            cancelled: bool = await asyncio.wrap_future(worker.cancel(result_id))
            if cancelled:
                return True
        result = await self.aget_result(result_id)
        return await current().in_thread(
            then_close_if_threaded, partial(self._cancel_by_row, result)
        )

    def _worker_to_ask(self, result_id: str) -> LoopWorker | None:
        """Return this process's worker if what it holds of a task is its own to cancel."""
        worker = workers().get(self.alias)
        return None if worker is None or worker.waits_with_row(result_id) else worker

    def _cancel_by_row(self, result: TaskResult) -> bool:
        if result.is_finished:
            return False
        if result.backend != self.alias:
            other: Any = task_backends[result.backend]
            return bool(other.cancel(result.id))
        worker = workers().get(self.alias)
        if worker and worker.attempts(result.id):  # it was asked: somebody else has stopped it
            return False
        durable = extended(result.task).durable
        if not durable or not claims.withdraw(result.id, current().holder):
            return False
        if worker and current().result_of(worker.cancel(result.id), CANCEL_SECONDS):
            return True
        if self._has_ended(result.id):  # since it was looked up, and its row had not heard of it
            return False
        ended = states.failed(result, TaskCancelled())
        recorder().record(self.store, ended)
        announcements.failed.send(type(self), ended)
        return True

    def _has_ended(self, result_id: str) -> bool:
        try:
            return bool(self.get_result(result_id).is_finished)
        except Exception:  # noqa: BLE001 - nothing is known of it, or the cache is away
            return False


@asynccontextmanager
async def serve() -> AsyncIterator[None]:
    """Run this process's tasks of all event-loop backends on the running loop, until the end."""
    served: list[LoopWorker] = []
    async with AsyncExitStack() as stack:
        # First, so that at the end it is waited for last, when the workers drain already.
        await stack.enter_async_context(relaying())
        for alias in task_backends:
            backend = task_backends[alias]
            if isinstance(backend, EventLoopBackend):
                served.append(await stack.enter_async_context(serve_one(backend)))
                if current().threads:
                    await stack.enter_async_context(leaving_trace(backend))
        yield
        # All at once: the server waits for the slowest of them, not for one after the other.
        await asyncio.gather(*(worker.close() for worker in served))


@asynccontextmanager
async def relaying() -> AsyncIterator[None]:
    """Relay once, beside the server's start, what processes before this one have left."""

    async def relay_once() -> None:
        try:
            await current().in_thread(then_close_if_threaded, relay_due)
        except Exception as error:  # noqa: BLE001 - the server must start whatever is away
            logger.warning("Nothing was relayed at the start: %s", error)

    relayed = asyncio.create_task(relay_once())
    try:
        yield
    finally:
        await relayed


@asynccontextmanager
async def serve_one(backend: EventLoopBackend) -> AsyncIterator[LoopWorker]:
    """Run the tasks of one backend; drain them at the end."""
    worker = backend.new_worker()
    worker.open()
    here = workers()
    here[backend.alias] = worker
    try:
        async with adopting(backend, worker) if backend.keeps_its_own else nullcontext():
            yield worker
    finally:
        await worker.close()
        if here.get(backend.alias) is worker:
            del here[backend.alias]


@asynccontextmanager
async def leaving_trace(backend: EventLoopBackend) -> AsyncIterator[None]:
    """Let others see that this process serves a backend, while its loop goes round."""
    stop = asyncio.Event()
    place = Place(backend.settings.result_cache, backend.alias)
    keeper = asyncio.create_task(keep_trace(stop, place))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait([keeper], timeout=TRACE_END_SECONDS)


async def keep_trace(stop: asyncio.Event, place: Place) -> None:
    is_seen = True
    while not stop.is_set():
        is_seen = await try_trace(place.renew, was_seen=is_seen)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), TRACE_SECONDS)
    await try_trace(place.leave, was_seen=is_seen)


async def try_trace(change: Callable[[], None], *, was_seen: bool) -> bool:
    """Change a trace and return whether that was possible; what is new of that is logged."""
    try:
        await current().in_thread(then_close_if_threaded, change)
    except Exception as error:  # noqa: BLE001 - each cache has errors of its own
        if was_seen:
            logger.warning("Nobody sees that this process serves: %r", error)
        return False
    if not was_seen:
        logger.info("It is seen again that this process serves")
    return True


@asynccontextmanager
async def adopting(backend: EventLoopBackend, worker: LoopWorker) -> AsyncIterator[None]:
    """Take over, now and then, what others have left of a backend that has no overflow."""
    stop = asyncio.Event()
    adopter = asyncio.create_task(adopt_until(stop, backend, worker))
    try:
        yield
    finally:
        stop.set()
        # Not cancelled: what its thread claims meanwhile must be given back.
        await asyncio.wait([adopter], timeout=ADOPT_SECONDS)


async def adopt_until(stop: asyncio.Event, backend: EventLoopBackend, worker: LoopWorker) -> None:
    while not stop.is_set():
        await adopt_once(stop, backend, worker)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), backend.settings.lease / 3)


async def adopt_once(stop: asyncio.Event, backend: EventLoopBackend, worker: LoopWorker) -> None:
    """Take over what there is room for; what cannot be taken is given back, each by itself."""
    try:
        room = min(ADOPTED, worker.runner.places)
        adopted = await current().in_thread(then_close_if_threaded, partial(adopt, backend, room))
    except Exception as error:  # noqa: BLE001 - tried again, whatever is away
        logger.warning("Nothing was adopted from the outbox: %r", error)
        return
    for result in adopted:
        if stop.is_set():  # it would lose an attempt here
            writer().release(result.id)
        else:
            submit_adopted(worker, result)


def submit_adopted(worker: LoopWorker, result: TaskResult) -> None:
    try:
        worker.submit(result)
    except Exception as error:  # noqa: BLE001 - the row must not stay with nobody
        logger.warning("Task id=%s is left to the relay: %r", result.id, error)
        writer().release(result.id)
