"""A Celery worker: a main process with the core's own requests, and its pool process."""

import math
import signal
from typing import TYPE_CHECKING, Any

from billiard.einfo import ExceptionInfo
from celery.exceptions import TimeLimitExceeded, WorkerLostError

from hybrid_tasks.celery.lost import HybridRequest
from hybrid_tasks.celery.unknown import on_unknown
from tests.world import stage, threads
from tests.world.broker import Letter
from tests.world.child import Child, Job
from tests.world.process import Process
from tests.world.wire import app, reach, reader

if TYPE_CHECKING:
    from tests.world.world import World

NO_TIME = 0.0
REVOKED_SECONDS = 60.0  # that a worker remembers what is revoked; Celery's own does for 3 hours


class Worker(Process):
    """The main process of a worker with one pool process.

    Attributes:
        commands: of remote control, which it has not seen yet.
        jobs: what its pool runs.
    """

    kind = "worker"

    def __init__(self, world: "World", name: str, *, skew: float = 0.0, version: int = 2) -> None:
        super().__init__(world, name, skew=skew, version=version)
        self.commands: list[dict[str, Any]] = []
        self.jobs: list[Job] = []
        self._requests: dict[Letter, Any] = {}
        self._revoked: dict[str, float] = {}
        self._children = 0
        self._child: Child | None = None

    def start(self) -> None:
        self.spawn("control", self._listen, serves=True)

    def take(self, letter: Letter, name: str) -> None:
        """Take a message from the broker."""
        self.world.broker.take(letter, self)
        self.spawn(f"message {name}", lambda: self._handle(letter, name))

    def _handle(self, letter: Letter, name: str) -> None:
        message = reader.message_to_python(letter.delivered())
        path = message.headers["task"]
        if self.version < 2 and path.endswith(".newer"):
            entry = self.world.ledger.by_id(letter.task_id)
            if entry is not None:
                entry.turned_away.append(self)
            self.world.broker.acknowledge(letter)  # Celery does so before it tells
            on_unknown(message=message, name=path)
            return
        request = HybridRequest(
            message,
            on_ack=lambda *_: self.world.broker.acknowledge(letter),
            on_reject=lambda _logger, _errors, requeue: self.world.broker.reject(letter, requeue),
            hostname=self.name,
            app=app,
            task=app.tasks[path],
        )
        self._requests[letter] = request
        if request.eta is not None:
            threads.sleep((request.eta - self.runtime.clock.now()).total_seconds())
        threads.wait(self._is_free)
        if self.stopping:
            return
        if self.world.time < self._revoked.get(letter.task_id, -math.inf) + REVOKED_SECONDS:
            request._announce_revoked("revoked", False, None, False)
        else:
            self._run(request, name)
        self._requests.pop(letter, None)

    def _is_free(self) -> bool:
        return not self.jobs or self.stopping

    def _run(self, request: Any, name: str) -> None:
        job = Job(request, self._pool_process())
        self.jobs.append(job)
        try:
            request.on_accepted(job.child.pid, NO_TIME)
            job.child.run(f"run {name}", job)
            self._follow(job)
        finally:
            self.jobs.remove(job)

    def _pool_process(self) -> Child:
        if self._child is None or not self._child.alive:
            self._children += 1
            self._child = Child(self, self._children)
            self.world.start(self._child)
        return self._child

    def _follow(self, job: Job) -> None:
        """Wait for the end of a job, and interrupt it when its time is over."""
        hard, soft = job.request.time_limits
        began = self.world.time

        def left(limit: float | None) -> float | None:
            return None if limit is None else max(0.0, began + limit - self.world.time)

        def is_over() -> bool:
            return job.outcome is not None or not job.child.alive

        if not threads.wait(is_over, left(soft)):
            job.child.signal(signal.SIGUSR1)
            if not threads.wait(is_over, left(hard)):
                job.request.on_failure(information(TimeLimitExceeded(hard)))
                job.request.on_timeout(False, hard)
                self.world.crash(job.child)
                return
        if job.outcome is None:
            job.request.on_failure(information(WorkerLostError("signal 9 (SIGKILL)")))
        elif job.child.ended:
            job.request.on_failure(job.outcome[1])
        else:
            job.request.on_success((*job.outcome, NO_TIME))

    def _listen(self) -> None:
        while True:
            threads.wait(lambda: bool(self.commands))
            command = self.commands.pop(0)
            if command["method"] == "revoke":
                self._revoke(command["arguments"]["task_id"])

    def _revoke(self, task_id: str) -> None:
        self._revoked[task_id] = self.world.time
        for job in list(self.jobs):
            if job.request.id == task_id:
                job.request.terminate(self, "TERM")

    def terminate_job(self, pid: int, number: int) -> None:
        """See Celery's pool."""
        for job in self.jobs:
            if job.child.pid == pid:
                job.child.signal(number)

    def stop(self) -> None:
        self.stopping = True
        self.spawn("exit", self._stop)

    def _stop(self) -> None:
        """Stop warmly: what runs ends; what was not begun is delivered again."""
        threads.wait(lambda: not self.jobs)
        self.world.broker.restore(self)
        if self._child is not None:
            self._child.ended = True
        self._exit()

    def die(self) -> None:
        super().die()
        if self._child is not None:
            self._child.die()

    def runs(self, task_id: str) -> int:
        """Return in how many of its jobs it runs a task."""
        return sum(job.request.id == task_id for job in self.jobs)


def information(error: Exception) -> Any:
    """Return what billiard makes of an exception."""
    try:
        raise error
    except type(error):
        return ExceptionInfo(internal=True)


def still_runs(_app: Any, worker_id: str, task_id: str, asked_by: str) -> bool:
    """Answer for hybrid_tasks.celery.liveness.still_runs, which asks by the broker."""
    reach("it asks a worker")
    told = [one for one in stage.world().workers() if one.name == worker_id and one.active]
    active = sum(worker.runs(task_id) for worker in told)
    return active > (worker_id == asked_by)
