"""A real RabbitMQ server for tests, and a wire to it that can be cut or held."""

import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Self

import pytest
from amqp.exceptions import NotFound
from kombu import Connection

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


class RabbitMQ:
    """A node of its own with its data in `directory`, which tests may stop, kill and fill.

    Used as a context manager it runs, and is ended with all that belongs to it.
    """

    def __init__(self, directory: Path, config: str = "") -> None:
        self.directory = directory
        self.port, dist, self._mapper_port = free_port(), free_port(), free_port()
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}//"
        self._command = required_command()
        self._processes = ExitStack()
        self._starts = count(1)
        settings = directory / "rabbitmq.conf"
        settings.write_text(
            f"loopback_users = none\nlog.console = true\nlog.console.level = warning\n{config}"
        )
        self._env = {
            "HOME": str(directory),  # for the cookie of Erlang
            "ERL_EPMD_PORT": str(self._mapper_port),
            "RABBITMQ_NODENAME": f"test{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(dist),
            "RABBITMQ_MNESIA_BASE": str(directory / "data"),
            "RABBITMQ_LOG_BASE": str(directory / "log"),
            "RABBITMQ_CONFIG_FILE": str(settings),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "plugins"),
            "RABBITMQ_PID_FILE": str(directory / "pid"),
        }

    def __enter__(self) -> Self:
        # The port mapper would go on for ever if the node had to start it.
        mapper = ["epmd", "-port", str(self._mapper_port)]
        self._processes.enter_context(Process(mapper, {}, self.directory / "epmd.log"))
        wait_until(lambda: port_is_open(self._mapper_port), "the port mapper listens")
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._processes.close()

    def start(self) -> None:
        """Start the node, with what it kept when it ran before; wait until it listens."""
        log = self.directory / f"server-{next(self._starts)}.log"
        self.server = self._processes.enter_context(Process([self._command], self._env, log))
        ended = self.server.popen.poll
        wait_until(lambda: port_is_open(self.port) or ended() is not None, "it listens")
        assert ended() is None, self.server.output()

    def kill(self) -> None:
        """Kill the node with -9."""
        self.server.kill()

    def stop(self) -> None:
        """End the node in order."""
        self.server.stop()

    def empty(self) -> None:
        """Remove what a node that has ended has kept."""
        shutil.rmtree(self.directory / "data")

    def out_of_memory(self) -> None:
        """Let the node find that it takes too much: it blocks all who publish."""
        self.control("set_vm_memory_high_watermark", "absolute", "1MB")

    def enough_memory(self) -> None:
        self.control("set_vm_memory_high_watermark", "0.4")

    def control(self, *arguments: str) -> str:
        """Run `rabbitmqctl`; return its output."""
        command = str(Path(self._command).with_name("rabbitmqctl"))
        done = subprocess.run(
            [command, "--quiet", *arguments],
            env=os.environ | self._env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def delete_queues(self, *names: str) -> None:
        with Connection(self.url) as connection:
            for name in names:
                connection.default_channel.queue_delete(name)

    def queued(self, name: str) -> int:
        """Return how many messages wait in a queue; 0 if there is no such queue."""
        with Connection(self.url) as connection, suppress(NotFound):
            declared = connection.default_channel.queue_declare(name, passive=True)
            return int(declared.message_count)
        return 0


@contextmanager
def running_rabbitmq(directory: Path, config: str = "") -> Iterator[RabbitMQ]:
    """Run a node of its own with its data in `directory`, and those lines in its settings."""
    with RabbitMQ(directory, config) as node:
        yield node


class Wire:
    """Passes on what comes to `port` to a server at `target`, until it is cut or held."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._flows = threading.Event()
        self._flows.set()
        self._lock = threading.Lock()
        self._ends: list[socket.socket] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:  # as near would hear from the server itself
                near.close()
                continue
            with self._lock:
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
        with self._lock:
            ends, self._ends = self._ends, []
        for end in ends:
            with suppress(OSError):
                # An end with data that was not read, or this, is closed by a reset.
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            with suppress(OSError):
                end.shutdown(socket.SHUT_RD)  # who waits for data would keep it open
            end.close()

    def hold(self) -> None:
        """Let nothing through, as a server that hangs."""
        self._flows.clear()

    def release(self) -> None:
        self._flows.set()

    def close(self) -> None:
        self._flows.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # or it would accept one more
        self._accepting.join()
        self._listener.close()
        self.cut()
