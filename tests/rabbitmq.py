"""A real RabbitMQ server for tests, and a wire to it that can be cut or held."""

import os
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.processes import Process, free_port, port_is_open, wait_until

# As Debian installs it: the one in the path would change to a user of its own.
SERVERS = [
    Path("/usr/lib/rabbitmq/bin/rabbitmq-server"),
    Path("/opt/rabbitmq/sbin/rabbitmq-server"),
]


def server_command() -> str | None:
    """Return the path of RabbitMQ's server, if it is installed."""
    for path in SERVERS:
        if path.exists():
            return str(path)
    return shutil.which("rabbitmq-server")


def required_command() -> str:
    """Return it, or skip the test; in CI it must be there."""
    command = server_command()
    if command is None:
        if os.environ.get("CI"):
            pytest.fail("rabbitmq-server is not installed: apt-get install rabbitmq-server")
        pytest.skip("rabbitmq-server is not installed")
    return command


@contextmanager
def running_rabbitmq(directory: Path) -> Iterator[int]:
    """Run a node of its own, with its data in `directory`; give its port."""
    command = required_command()
    port, dist, mapper = free_port(), free_port(), free_port()
    config = directory / "rabbitmq.conf"
    config.write_text("loopback_users = none\nlog.console = true\nlog.console.level = warning\n")
    env = {
        "HOME": str(directory),  # for the cookie of Erlang
        "ERL_EPMD_PORT": str(mapper),
        "RABBITMQ_NODENAME": f"test{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(dist),
        "RABBITMQ_MNESIA_BASE": str(directory / "data"),
        "RABBITMQ_LOG_BASE": str(directory / "log"),
        "RABBITMQ_CONFIG_FILE": str(config),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "plugins"),
        "RABBITMQ_PID_FILE": str(directory / "pid"),
    }
    # The port mapper would go on for ever if the node had to start it.
    with (
        Process(["epmd", "-port", str(mapper)], {}, directory / "epmd.log"),
        Process([command], env, directory / "server.log") as server,
    ):
        wait_until(lambda: port_is_open(mapper), "the port mapper listens")
        wait_until(lambda: port_is_open(port) or server.popen.poll() is not None, "it listens")
        assert server.popen.poll() is None, server.output()
        yield port


class Wire:
    """Passes on what comes to `port` to a server at `target`, until it is cut or held."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._flows = threading.Event()
        self._flows.set()
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._target))
            self._ends += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                self._flows.wait()
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """Cut all connections, without a word to either side of what was on its way."""
        ends, self._ends = self._ends, []
        for end in ends:
            with suppress(OSError):
                # An end with data that was not read, or this, is closed by a reset.
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                end.close()

    def hold(self) -> None:
        """Let nothing through, as a server that hangs."""
        self._flows.clear()

    def release(self) -> None:
        self._flows.set()

    def close(self) -> None:
        self._flows.set()
        self._listener.close()
        self.cut()
