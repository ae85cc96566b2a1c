"""Valkey with a replica, and a Sentinel that puts the replica in the primary's place."""

from contextlib import ExitStack
from pathlib import Path
from typing import Self

from redis import Redis

from dev.broker import broker_command
from tests.processes import Process, free_port, port_is_open, wait_until

NAME = "shop"  # of the primary, as the documentation has it


class Sentinel:
    """One of each, with their data in `directory`; used as a context manager they run."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port, self.primary_port, self.replica_port = free_port(), free_port(), free_port()
        self.url = f"sentinel://127.0.0.1:{self.port}/0"
        self._processes = ExitStack()

    def __enter__(self) -> Self:
        self.primary = self._start("primary", self.primary_port)
        replica_of = ["--replicaof", f"127.0.0.1 {self.primary_port}"]
        self._start("replica", self.replica_port, *replica_of)
        wait_until(self.replicated, "the replica has what the primary has")
        config = self.directory / "sentinel.conf"  # which Sentinel writes to
        config.write_text(
            f"port {self.port}\n"
            f"sentinel monitor {NAME} 127.0.0.1 {self.primary_port} 1\n"
            f"sentinel down-after-milliseconds {NAME} 1000\n"
        )
        program = broker_command(self.port, str(self.directory))[0]
        log = self.directory / "sentinel.log"
        self._processes.enter_context(Process([program, str(config), "--sentinel"], {}, log))
        wait_until(lambda: port_is_open(self.port), "Sentinel listens")
        wait_until(self._knows_replica, "Sentinel knows the replica")
        return self

    def __exit__(self, *_: object) -> None:
        self._processes.close()

    def _start(self, name: str, port: int, *more: str) -> Process:
        directory = self.directory / name
        directory.mkdir()
        command = [*broker_command(port, str(directory)), *more]
        process = self._processes.enter_context(Process(command, {}, directory / "log"))
        wait_until(lambda: port_is_open(port), f"the {name} listens")
        return process

    def _knows_replica(self) -> bool:
        with Redis(port=self.port) as client:
            return bool(client.execute_command("SENTINEL", "REPLICAS", NAME))

    def replicated(self) -> bool:
        """Return whether the replica has all that the primary has."""
        with Redis(port=self.replica_port) as replica, Redis(port=self.primary_port) as primary:
            told, has = primary.info("replication"), replica.info("replication")
        up = has["master_link_status"] == "up"
        return up and bool(told["master_repl_offset"] == has["slave_repl_offset"])

    def failed_over(self) -> bool:
        """Return whether the replica has become the primary."""
        with Redis(port=self.replica_port) as replica:
            return bool(replica.info("replication")["role"] == "master")
