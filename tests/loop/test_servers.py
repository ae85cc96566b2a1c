"""The same promise on every server: a stop ends what runs and hands over what waits.

SERVERS_BIN names another directory than the tests' own in which the servers are installed.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.conftest import BIN
from tests.loop.system import System, Web
from tests.processes import PATIENCE

APPLICATION = "tests.loop.asgi:application"


@dataclass(frozen=True)
class Server:
    """How a server is started, and what it writes when all its workers are ready.

    Attributes:
        tells: whether its signals reach `until_stopping()`.
    """

    program: str
    options: Sequence[str]
    ready: str
    port_option: str = "--bind=127.0.0.1:{port}"
    workers: int = 1
    tells: bool = True


SERVERS = {
    "uvicorn": Server("uvicorn", (), "Application startup complete", "--port={port}"),
    "uvicorn with two workers": Server(
        "uvicorn",
        # It kills a worker that does not answer it for so long, be it for want of time.
        ("--workers", "2", "--timeout-worker-healthcheck", "60"),
        "Application startup complete",
        "--port={port}",
        workers=2,
    ),
    "gunicorn": Server(
        "gunicorn",
        ("--worker-class=asgi", "--workers=2", "--no-control-socket"),
        "ASGI server listening",
        workers=2,
    ),
    "granian": Server(
        "granian",
        ("--interface=asgi", "--workers=2"),
        "Started worker-",
        "--port={port}",
        workers=2,
    ),
    # Its worker is another process, which it tells of the signal in a way of its own.
    "hypercorn": Server("hypercorn", (), "Running on", tells=False),
    "hypercorn without workers": Server("hypercorn", ("--workers=0",), "Running on"),
}


def program_of(name: str) -> str:
    """Return a server's path; one that is not installed skips the test, and fails it in CI."""
    program = Path(os.environ.get("SERVERS_BIN", BIN)) / name
    if not program.exists():
        missing = f"{name} is not installed: uv sync --group servers"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return str(program)


def start(system: System, server: Server, options: dict[str, object]) -> Web:
    """Start the server."""
    return system.web(
        options,
        (program_of(server.program), *server.options, APPLICATION),
        server.port_option,
        server.ready,
        server.workers,
    )


@pytest.mark.parametrize("server", SERVERS.values(), ids=SERVERS)
def test_a_stop_ends_streams_and_what_runs_and_hands_over_what_waits(
    system: System, server: Server
) -> None:
    web = start(system, server, {"max_running": 10, "drain_timeout": 10, "overflow": "celery"})
    ids = [task_id for _ in range(10) for task_id in web.enqueue(20, seconds=2)]
    if server.tells:
        stop_with_open_stream(web)
        assert system.ledger.ids("stopping") == {"until_stopping": 1}
    else:
        web.process.popen.terminate()
    web.process.popen.wait(timeout=PATIENCE)

    on_loop = system.ledger.ids("end", "loop@")
    assert 10 <= on_loop.total() < len(ids), web.process.output()
    # That a worker runs what is there under its id, other tests show.
    assert sorted([*on_loop.elements(), *system.queued_ids()]) == sorted(ids)


def stop_with_open_stream(web: Web) -> None:
    """Tell the server to stop while it streams; fail unless the stream then ends itself."""
    with httpx.stream("GET", f"{web.url}/stream?how=until_stopping", timeout=20) as response:
        lines = response.iter_lines()
        assert next(lines) == "data: hello"
        web.process.popen.terminate()
        assert "data: goodbye" in list(lines), web.process.output()
