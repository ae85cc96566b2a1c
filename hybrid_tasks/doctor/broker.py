"""Asks the broker of a Celery backend, and the workers behind it. Needs Celery."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from celery import Celery

from hybrid_tasks.celery.answering import COMMAND
from hybrid_tasks.celery.checks import is_fallback, queue_worker_command, worker_command
from hybrid_tasks.celery.connecting import connected, drop
from hybrid_tasks.doctor.caches import advice as advice_for_cache
from hybrid_tasks.doctor.caches import part_of as part_of_cache
from hybrid_tasks.doctor.database import OFF_SECONDS
from hybrid_tasks.doctor.lines import Line, bad, doubtful, well
from hybrid_tasks.doctor.words import ahead, command, counted, milliseconds, some

FIRST_SECONDS = 1.0  # in which the workers have to answer that there are; more are not waited for


@dataclass(slots=True)
class Worker:
    """What a worker answered.

    Attributes:
        name: as Celery has it.
        queues: those that it serves.
        off: seconds that its clock is ahead of ours; None if it does not know our question.
        unsure: seconds that `off` may be wrong by.
        caches: for each cache that was tried, whether it reads what was written here, or an error.
    """

    name: str
    queues: set[str] = field(default_factory=set)
    off: float | None = None
    unsure: float = 0.0
    caches: dict[str, bool | str] = field(default_factory=dict)


def look_at_broker(backend: Any) -> Iterator[Line]:
    """Yield whether the broker answers to which a backend sends."""
    part, app = f"broker of {backend.alias!r}", backend.app
    if is_fallback(app):
        yield bad(
            part,
            "there is no Celery application that would name one",
            "Import the project's application in its __init__.py, or name it by option 'app'.",
        )
        return
    began = time.monotonic()
    connection = connected(app)
    try:
        took = time.monotonic() - began
        confirmed = connection.transport_options.get("confirm_publish")
        sure = ", and confirms what it is sent" if confirmed else ""
        address = connection.as_uri()  # with stars for a password, and without one
        shown = address if connection.password else address.replace(":**@", "")
        yield well(part, f"{shown} answers in {milliseconds(took)}{sure}")
    finally:
        drop(connection)


def ask_workers(app: Celery, probes: Mapping[str, str], seconds: float) -> list[Worker]:
    """Return what all workers answer. Raises BrokerUnavailable, and what the transport raises."""
    connection = connected(app)
    try:
        mailbox = app.control.mailbox(connection)
        mailbox.producer_pool = None  # Celery's own waits for a broker for ever
        mailbox.serializer = "json"
        first = mailbox.multi_call("ping", timeout=min(FIRST_SECONDS, seconds / 2))
        workers = {name: Worker(name) for reply in first or [] for name in sorted(reply)}
        if not workers:
            return []
        names = list(workers)
        for reply in mailbox.call(names, "active_queues", timeout=seconds / 4) or []:
            for name, queues in reply.items():
                workers[name].queues = {one["name"] for one in queues or []}
        sent = time.time()

        def note(reply: dict[str, Any]) -> None:
            """Note what a worker said the moment it arrives."""
            took = time.time() - sent
            for name, told in reply.items():
                if "time" in told:
                    workers[name].off = told["time"] - (sent + took / 2)
                    workers[name].unsure = took / 2
                    workers[name].caches = told["caches"]

        mailbox.call(names, COMMAND, {"probes": dict(probes)}, seconds / 4, note)
    finally:
        drop(connection)
    return sorted(workers.values(), key=lambda worker: worker.name)


def look_at_workers(
    backend: Any, probes: Mapping[str, str], seconds: float, found: list[Worker]
) -> Iterator[Line]:
    """Yield which workers there are, and what is wrong with each; leave them in `found`."""
    part, app = f"workers of {backend.alias!r}", backend.app
    workers = ask_workers(app, probes, seconds)
    found += workers
    if not workers:
        queues = queues_of(backend)
        start = command(worker_command(app, queues))
        shared = ", or one for each queue" if len(queues) > 1 else ""
        yield bad(part, "none answers", f"Start one{shared}: {start}")
        return
    names = [worker.name for worker in workers]
    yield well(
        part, f"{counted(len(names), 'worker')} answer{'s'[: len(names) == 1]}: {some(names)}"
    )
    yield from look_at_clocks(workers)
    yield from look_at_queues(backend, workers)
    for alias in probes:
        yield from look_at_readers(alias, workers)


def look_at_clocks(workers: list[Worker]) -> Iterator[Line]:
    known = [worker for worker in workers if worker.off is not None]
    for worker in workers:
        if worker.off is None:
            yield doubtful(
                f"worker {worker.name}",
                "it does not know what is asked here",
                "Update hybrid_tasks there and restart it, if it is one of this project's.",
            )
        elif abs(worker.off) > OFF_SECONDS + worker.unsure:
            yield doubtful(
                f"clock of {worker.name}",
                f"it is {ahead(worker.off)} ours: what is due there is that much early or late",
                "Set the clocks of both machines by NTP.",
            )
            known.remove(worker)
    if known:
        most = max(abs(worker.off or 0.0) for worker in known)
        told = f"{most:.1f} s off ours at the most" if most >= 0.1 else "as ours"
        yield well("clocks of workers", told)


def look_at_queues(backend: Any, workers: list[Worker]) -> Iterator[Line]:
    for queue in queues_of(backend):
        part = f"queue {queue!r}"
        serving = [worker.name for worker in workers if queue in worker.queues]
        if serving:
            yield well(part, f"served by {some(serving)}")
            continue
        others = sorted(set().union(*(worker.queues for worker in workers)))
        start = command(queue_worker_command(backend.app, queue))
        yield bad(
            part,
            f"no worker serves it, what is sent there waits for ever; served: {some(others)}",
            f"Let a worker that runs serve it as well, or start one more: {start}",
        )


def look_at_readers(alias: str, workers: list[Worker]) -> Iterator[Line]:
    """Yield whether the workers read from a cache what was written here."""
    part = f"{part_of_cache(alias)} in workers"
    asked = [worker for worker in workers if alias in worker.caches]
    for worker in asked:
        read = worker.caches[alias]
        if read is True:
            continue
        told = (
            f"{worker.name} does not find in its own what is written here: results get lost"
            if read is False
            else f"{worker.name} cannot read it: {read}"
        )
        yield bad(part, told, advice_for_cache(alias))
    if asked and all(worker.caches[alias] is True for worker in asked):
        yield well(part, counted(len(asked), "worker reads it, too", "workers read it, too"))


def queues_of(backend: Any) -> list[str]:
    """Return the queues that a backend sends to; of one that takes any, the usual one."""
    return sorted(backend.queues) or ["default"]
