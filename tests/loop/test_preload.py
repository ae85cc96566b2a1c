"""gunicorn with `--preload`: workers forked from a process that had threads and sockets."""

import signal

import pytest

from tests.loop.system import System, Web
from tests.loop.test_servers import BIN, program_of
from tests.processes import PATIENCE, wait_until

COMMAND = (
    *(str(BIN / "gunicorn"), "--preload", "--worker-class=asgi", "--workers=2"),
    *("--no-control-socket", "tests.loop.preloaded:application"),
)


@pytest.fixture(autouse=True)
def _installed() -> None:
    program_of("gunicorn")


def start(system: System, **options: object) -> Web:
    return system.web(
        options, COMMAND, "--bind=127.0.0.1:{port}", "ASGI server listening", ready_times=2
    )


def stop(web: Web) -> None:
    web.process.popen.send_signal(signal.SIGTERM)
    assert web.process.popen.wait(PATIENCE) == 0, web.process.output()
    assert "Traceback" not in web.process.output()


def test_workers_have_loops_of_their_own(system: System) -> None:
    """C16: what the parent had, its children have not."""
    web = start(system, drain_timeout=10)
    ids = [one for _ in range(10) for one in web.enqueue(5)]
    wait_until(lambda: system.ledger.count("end") >= len(ids), "all have ended")
    assert not set(ids) - set(system.ledger.ids("end"))
    stop(web)


def test_workers_have_connections_of_their_own(system: System) -> None:
    """C16: two children and their parent wrote into one socket, and lost messages.

    Nor do they wait for what a thread of the parent held when it forked, such as a module's lock.
    """
    web = start(system, overflow="celery", max_running=1, max_waiting=0, drain_timeout=10)
    ids = [one for _ in range(10) for one in web.enqueue(30, burst=30, period=30)]
    stop(web)
    on_loop = system.ledger.ids("end", "loop@")
    queued = system.queued_ids()
    assert len(queued) >= len(ids) / 2
    assert not set(ids) - set(on_loop) - set(queued)
    assert len(queued) == len(set(queued))
    assert not set(queued) & set(on_loop)
