"""Progress that cannot be shown stops nothing."""

import pytest
from celery import Celery

from hybrid_tasks.celery.progress import ProgressTeller
from hybrid_tasks.results import states
from hybrid_tasks.results.task_result import TaskResult
from tests.hybrid_tasks import tasks
from tests.processes import free_port


def running(done: int) -> TaskResult:
    result = states.started(states.make(tasks.report_progress, ["gate"], {}, "celery"), "worker")
    return states.advance(result, metadata={"progress": {"done": done, "total": 2}})


def test_a_broker_that_is_away_is_asked_once(caplog: pytest.LogCaptureFixture) -> None:
    app = Celery(broker=f"redis://127.0.0.1:{free_port()}/0", set_as_current=False)
    app.conf.worker_send_task_events = True
    app.conf.broker_transport_options = {"retry_on_timeout": False, "max_retries": 0}
    teller = ProgressTeller(app.task(tasks.report_progress.func, name="progress"))
    for done in range(3):
        teller.tell(running(done))
    assert caplog.text.count("its progress cannot be shown") == 1
