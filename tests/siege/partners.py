"""Those on whom the shop depends, and who take their time."""

import socket
import threading


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
