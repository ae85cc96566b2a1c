"""The brokers of the fault suite, as a test breaks and mends them."""

import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Mapping
from urllib.parse import urlsplit

from tests.loop.system import System
from tests.rabbitmq import RabbitMQ, Wire


class Broker(ABC):
    """What is between the processes of one test.

    Attributes:
        name: that of its settings in docs/brokers.md.
        url: its address.
    """

    name: str
    url: str

    @abstractmethod
    def kill(self) -> None:
        """Kill it with -9."""

    @abstractmethod
    def stop(self) -> None:
        """End it in order."""

    @abstractmethod
    def start(self) -> None:
        """Start it, with what it kept when it ran before."""

    @abstractmethod
    def empty(self) -> None:
        """Remove what it has kept; it has to have ended."""

    @abstractmethod
    def signal(self, number: int) -> None:
        """Send a signal to its processes."""

    @abstractmethod
    def queued(self) -> int:
        """Return how many tasks wait in it."""

    @property
    def port(self) -> int:
        port = urlsplit(self.url).port
        assert port is not None
        return port

    def hang(self) -> None:
        self.signal(signal.SIGSTOP)

    def wake(self) -> None:
        self.signal(signal.SIGCONT)

    def env(self, wire: Wire | None = None) -> Mapping[str, str]:
        """Return the variables by which processes find it, over a wire if one is given."""
        url = self.url
        if wire is not None:
            url = url.replace(f":{self.port}/", f":{wire.port}/")
        return {"BROKER_URL": url}


class Valkey(Broker):
    """The system's own, which also has the cache."""

    name = "valkey"

    def __init__(self, system: System) -> None:
        self.system = system
        self.url = f"{system.env['BROKER_URL']}/0"

    def kill(self) -> None:
        self.system.broker.kill()

    def stop(self) -> None:
        self.system.broker.stop()

    def start(self) -> None:
        self.system.start_broker()

    def empty(self) -> None:
        for path in (self.system.directory / "appendonlydir").iterdir():
            path.unlink()

    def signal(self, number: int) -> None:
        self.system.broker.popen.send_signal(number)

    def queued(self) -> int:
        return len(self.system.queued_ids())


class Rabbit(Broker):
    """A node with queues of the kind that its name says."""

    def __init__(self, name: str, node: RabbitMQ) -> None:
        self.name = name
        self.node = node
        self.url = node.url

    def env(self, wire: Wire | None = None) -> Mapping[str, str]:
        """See Broker."""
        return {**super().env(wire), "RABBITMQ": self.name}

    def kill(self) -> None:
        self.node.kill()

    def stop(self) -> None:
        self.node.stop()

    def start(self) -> None:
        self.node.start()

    def empty(self) -> None:
        self.node.empty()

    def signal(self, number: int) -> None:
        os.killpg(self.node.server.pid, number)

    def queued(self) -> int:
        return self.node.queued("default")
