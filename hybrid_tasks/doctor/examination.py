"""Asks all questions: what is there, who answers, and whether a task comes back."""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from hybrid_tasks.backends.eventloop import EventLoopBackend
from hybrid_tasks.doctor.asking import Question, ask_all
from hybrid_tasks.doctor.caches import advice, look_at_cache, part_of, scope_of
from hybrid_tasks.doctor.configuration import look_at_settings
from hybrid_tasks.doctor.database import look_at_database, look_at_migrations, look_at_outbox
from hybrid_tasks.doctor.lines import Line, State, bad
from hybrid_tasks.doctor.pings import WITHDRAW_SECONDS, run_here, send_to_worker
from hybrid_tasks.doctor.pings import part_of as part_of_ping
from hybrid_tasks.doctor.traces import look_for_relay, look_for_web
from hybrid_tasks.finding import hybrid_backends

if TYPE_CHECKING:
    from hybrid_tasks.doctor.broker import Worker

OF_SETTINGS = "Mend the error that is named, and ask again."
OF_DATABASE = "Let the outbox's database, of DATABASES, be up, reachable and migrated."
OF_TASK = "See what is said of the cache, and look into the worker's log."
NO_CACHE = ("its end could not be seen in the cache", "Mend the cache first.")
NO_WORKER = ("nobody would run it", "Start a worker for its queue first.")
OLD_WORKER = ("a worker of its queue does not know it", "Update hybrid_tasks there first.")
OF_BROKER = "Let the broker be up, and broker_url of the Celery application name it."
NO_BROKER = ("no broker was reached", OF_BROKER)


class Examination:
    """Asks each part of the system.

    Arguments:
        seconds: that each question may take. There are five rounds, of which each takes no longer;
            that with tasks, which may have to be withdrawn, by four seconds.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._probes: dict[str, str] = {}
        self._workers: dict[str, list[Worker]] = {}
        self._reached: set[str] = set()

    def lines(self) -> Iterator[Line]:
        """Yield all that is found."""
        # Alone: it imports what nobody has imported yet, and would hold up the others.
        found = self._ask(Question("settings", look_at_settings, OF_SETTINGS))
        yield from found
        backends: list[Any] = list(hybrid_backends())
        if not backends:
            return
        self._takers = [one for one in backends if one.supports_accept]
        self._loops = [one for one in backends if isinstance(one, EventLoopBackend)]
        yield from self._ask(*self._about_what_is_there(backends))
        yield from self._ask(*self._about_workers())
        yield from self._ask(*self._about_tasks(), more=WITHDRAW_SECONDS)
        yield from self._ask(*self._about_loops(), more=WITHDRAW_SECONDS)

    def _ask(self, *questions: Question, more: float = 0.0) -> list[Line]:
        return ask_all(questions, self.seconds + more) if questions else []

    def _about_what_is_there(self, backends: list[Any]) -> Iterator[Question]:
        yield Question("database", look_at_database, OF_DATABASE)
        yield Question("migrations", look_at_migrations, OF_DATABASE)
        yield Question("outbox", look_at_outbox, OF_DATABASE)
        shared = {one.settings.result_cache for one in self._takers}
        for alias in sorted({one.settings.result_cache for one in backends}):
            ask = partial(look_at_cache, alias, self._probes, needed=alias in shared)
            yield Question(part_of(alias), ask, advice(alias))
        for backend in self._loops:
            cache = backend.settings.result_cache
            ask = partial(look_for_web, backend)
            yield Question(f"web for {backend.alias!r}", ask, advice(cache))
        for cache in sorted(shared):
            yield Question("relay", partial(look_for_relay, cache), advice(cache))
        for backend in self._takers:
            ask = partial(self._reach, backend)
            yield Question(f"broker of {backend.alias!r}", ask, OF_BROKER)

    def _reach(self, backend: Any) -> Iterator[Line]:
        from hybrid_tasks.doctor.broker import look_at_broker

        for line in look_at_broker(backend):
            if line.state is State.OK:
                self._reached.add(backend.alias)
            yield line

    def _about_workers(self) -> Iterator[Question]:
        for backend in self._takers:
            ask = partial(self._find_workers, backend)
            yield Question(f"workers of {backend.alias!r}", ask, OF_BROKER)

    def _find_workers(self, backend: Any) -> Iterator[Line]:
        from hybrid_tasks.doctor.broker import look_at_workers

        if backend.alias not in self._reached:
            told = "not asked, as no broker was reached"
            yield bad(f"workers of {backend.alias!r}", told, OF_BROKER)
            return
        found = self._workers.setdefault(backend.alias, [])
        yield from look_at_workers(backend, dict(self._probes), self.seconds, found)

    # --- Tasks -----------------------------------------------------------------------------------

    def _about_tasks(self) -> Iterator[Question]:
        for backend in self._takers:
            yield from self._about_task(backend, backend, "")
        for backend in self._loops:
            overflow = backend.overflow()
            if overflow is not None:
                yield from self._about_task(backend, overflow, " (overflow)")

    def _about_task(self, backend: Any, taker: Any, way: str) -> Iterator[Question]:
        """Yield the question that sends a task by `backend` to a worker of `taker`."""
        from hybrid_tasks.doctor.broker import queues_of

        part = part_of_ping(backend) + way
        workers = self._workers.get(taker.alias, [])
        queues = [one for one in queues_of(backend) if any(one in it.queues for it in workers)]
        if backend.settings.result_cache not in self._probes:
            ask = partial(refuse, part, *NO_CACHE)
        elif taker.alias not in self._reached:
            ask = partial(refuse, part, *NO_BROKER)
        elif not queues:
            ask = partial(refuse, part, *NO_WORKER)
        elif any(it.off is None and queues[0] in it.queues for it in workers):
            ask = partial(refuse, part, *OLD_WORKER)
        else:
            ask = partial(send_to_worker, backend, queues[0], self.seconds, OF_TASK, way)
        yield Question(part, ask, OF_TASK)

    def _about_loops(self) -> Iterator[Question]:
        for backend in self._loops:
            part, cache = f"{part_of_ping(backend)} (loop)", backend.settings.result_cache
            if cache in self._probes or scope_of(cache) == "process":
                ask = partial(run_here, backend, self.seconds)
            else:
                ask = partial(refuse, part, *NO_CACHE)
            yield Question(part, ask, OF_SETTINGS)


def refuse(part: str, why: str, advice: str) -> Iterator[Line]:
    """Say that no task was sent, which would not come back."""
    yield bad(part, f"none was sent: {why}", advice)
