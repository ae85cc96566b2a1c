"""Those on whom the shop depends, and who take their time."""

import asyncio
import os
import socket
import threading
from pathlib import Path
from typing import Any

from aiosmtpd.handlers import Mailbox

from tests.conftest import BIN, ROOT
from tests.meats.smokehouse import Mail
from tests.processes import Process, port_is_open, wait_until


class LateMailbox(Mailbox):  # type: ignore[misc]  # the package has no types
    """A folder that keeps a mail MAIL_SECONDS after it came."""

    async def handle_DATA(self, *arguments: Any) -> Any:  # noqa: N802 - the package's name
        await asyncio.sleep(float(os.environ["MAIL_SECONDS"]))
        return await super().handle_DATA(*arguments)


class LateMail(Mail):
    """A mail server that takes `seconds` for each mail."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.seconds = 0.0

    def start(self) -> None:
        """See Mail."""
        listen = ("--nosetuid", "--listen", f"127.0.0.1:{self.port}")
        command = [str(BIN / "aiosmtpd"), *listen, "--class", f"{__name__}.LateMailbox"]
        env = {"MAIL_SECONDS": str(self.seconds), "PYTHONPATH": str(ROOT)}
        log = self.directory.with_suffix(".log")
        self._process = Process([*command, str(self.directory)], env, log)
        wait_until(lambda: port_is_open(self.port), "the mail server listens")

    def restart(self, seconds: float) -> None:
        """Begin anew, with another time for each mail."""
        self.stop()
        self.seconds = seconds
        self.start()


class SilentPartner:
    """Listens on a port, takes each connection and never says a word."""

    def __init__(self, port: int) -> None:
        self._taken: list[socket.socket] = []
        self._socket = socket.create_server(("127.0.0.1", port), backlog=1024)
        self._thread = threading.Thread(target=self._take, daemon=True)
        self._thread.start()

    def _take(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:  # closed
                return
            self._taken.append(connection)

    def close(self) -> None:
        """Go away, with all connections."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()
        for connection in self._taken:
            connection.close()
