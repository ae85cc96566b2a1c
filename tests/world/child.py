"""A process of a worker's pool, which runs one message after the other."""

import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from billiard.einfo import ExceptionInfo
from celery.app.task import Context
from celery.exceptions import SoftTimeLimitExceeded
from greenlet import GreenletExit

from hybrid_tasks.celery.durable import Deliveries
from hybrid_tasks.celery.worker import run_message
from hybrid_tasks.runtime import holders_of
from tests.world import threads
from tests.world.process import Process
from tests.world.wire import app

if TYPE_CHECKING:
    from tests.world.worker import Worker

FIRST_PID = 1_000_000  # of simulated pool processes: no real one has such a number
# The core does not stand a soft time limit while it books an attempt.
SOFT_LIMITS_EVERYWHERE = False


@dataclass(eq=False)
class Job:
    """A message in the pool.

    Attributes:
        request: the main process's view of it.
        child: the process that runs it.
        outcome: what that has told: whether it failed, and a value or ExceptionInfo.
    """

    request: Any
    child: "Child"
    outcome: tuple[bool, Any] | None = None


class Child(Process):
    """A process of a worker's pool."""

    kind = "child"

    def __init__(self, parent: "Worker", number: int) -> None:
        super().__init__(
            parent.world, f"{parent.name}.{number}", skew=parent.skew, version=parent.version
        )
        self.pid = FIRST_PID + len(self.world.processes)
        self.runtime.holder = holders_of(self.pid) + self.name
        self.handlers: dict[int, Any] = {
            signal.SIGTERM: leave,
            signal.SIGUSR1: exceed if SOFT_LIMITS_EVERYWHERE else lambda _number, _frame: None,
        }
        self._task: threads.SimThread | None = None

    def run(self, name: str, job: Job) -> None:
        """Run a message in the one thread that pool processes have for that."""
        self._task = self.spawn(name, lambda: self._run(job))

    def _run(self, job: Job) -> None:
        request = job.request
        called = Called(Context(request.request_dict), request.name)
        try:
            value = run_message(called, request.name, request.args, request.kwargs)
        except GreenletExit:
            raise
        except SystemExit as error:
            job.outcome = (True, ExceptionInfo((SystemExit, error, error.__traceback__)))
            self.ended = True
        except BaseException:  # noqa: BLE001 - as Celery's own
            job.outcome = (True, ExceptionInfo(internal=True))
        else:
            job.outcome = (False, value)

    def work_exists(self, task_id: str) -> bool:
        runs = self._task is not None and self._task.is_alive()
        delivered = runs and task_id in self.runtime.part(Deliveries)._by_id
        return delivered or super().work_exists(task_id)

    def signal(self, number: int) -> None:
        """Let a signal interrupt what it runs."""
        if self._task is not None and self._task.is_alive():
            self._task.interrupt(lambda: self.handlers[number](number, None))


@dataclass
class Called:
    """What the core needs of the Celery task that is called."""

    request: Any
    name: str
    app: Any = app


def leave(_number: int, _frame: Any) -> None:
    raise SystemExit


def exceed(_number: int, _frame: Any) -> None:
    raise SoftTimeLimitExceeded
