"""The smokehouse as visitors meet it: a web server with a broker, a mail server and a partner."""

import json
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from email import message_from_binary_file, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx

from tests.conftest import BIN, ROOT, running_broker
from tests.processes import Process, free_port, port_is_open, wait_until

VISITOR = {"meats": "ribs", "more": "", "flavor": "", "name": "Ada Ash", "email": "ada@example.com"}


class Partner:
    """An HTTP server that keeps what it is told. `answers` are given first, then 200.

    `calls` has (idempotency key, JSON, status answered) of each call.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/orders"
        self.calls: list[tuple[str, Any, int]] = []
        self.answers: list[tuple[int, dict[str, str]]] = []
        self._server: ThreadingHTTPServer | None = None

    def start(self) -> None:
        partner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, headers = partner.answers.pop(0) if partner.answers else (200, {})
                partner.calls.append((self.headers["Idempotency-Key"], body, status))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def accepted(self) -> list[tuple[str, Any]]:
        return [(key, body) for key, body, status in self.calls if status == 200]


class Mail:
    """A real SMTP server that keeps what it receives in `directory`."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.directory = directory
        self._process: Process | None = None

    def start(self, *handler: str) -> None:
        """Start it, with the handler named or one that keeps all mail."""
        listen = ("--nosetuid", "--listen", f"127.0.0.1:{self.port}")
        handler = handler or ("aiosmtpd.handlers.Mailbox", str(self.directory))
        command = [str(BIN / "aiosmtpd"), *listen, "--class", *handler]
        log = self.directory.with_suffix(".log")
        self._process = Process(command, {"PYTHONPATH": str(ROOT)}, log)
        wait_until(lambda: port_is_open(self.port), "the mail server listens")

    def restart(self, seconds: float) -> None:
        """Begin anew, with so many seconds for each mail."""
        self.stop()
        self.start("tests.late_mail.LateMailbox", str(self.directory), str(seconds))

    def stop(self) -> None:
        if self._process:
            self._process.kill()
            self._process = None

    def received(self) -> list[EmailMessage]:
        mails = []
        for path in sorted((self.directory / "new").glob("*")):
            with path.open("rb") as file:
                mails.append(message_from_binary_file(file, policy=policy.default))
        return mails  # type: ignore[return-value]


class Smokehouse:
    """All of it, on free ports and in a directory of its own; `close` ends what was started."""

    def __init__(self, directory: Path, **env: str) -> None:
        self.directory = directory
        self.parts = ExitStack()
        self.partner, self.mail = Partner(), Mail(directory / "mail")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        (directory / "broker").mkdir()
        self.env = {
            "DJANGO_SETTINGS_MODULE": "project.settings",
            "PYTHONUNBUFFERED": "1",
            "VAR_DIR": str(directory),
            "DATABASE_URL": f"sqlite:///{directory}/db.sqlite3",
            "REDIS_URL": self.parts.enter_context(running_broker(directory / "broker")),
            "RATE_LIMIT_URL": "",
            "SITE_URL": self.url,
            "PARTNER_URL": self.partner.url,
            "EMAIL_HOST": "127.0.0.1",
            "EMAIL_PORT": str(self.mail.port),
            "RETRY_SECONDS": "0.5",
            "STEP_SECONDS": "0",
            **env,
        }
        self.manage("migrate", "--verbosity", "0")
        self.parts.callback(self.partner.stop)
        self.parts.callback(self.mail.stop)

    def close(self) -> None:
        self.parts.close()

    def manage(self, *command: str) -> str:
        """Run a management command to its end; return its output."""
        with Process(
            [sys.executable, str(ROOT / "manage.py"), *command], self.env, self.log("manage")
        ) as process:
            assert process.popen.wait(timeout=120) == 0, process.output()
            return process.output()

    def log(self, name: str) -> Path:
        return self.directory / f"{name}-{len(list(self.directory.glob(f'{name}-*.log')))}.log"

    def start_web(self, **env: str) -> Process:
        """Start the web server, always on the same port."""
        command = [str(BIN / "uvicorn"), "project.asgi:application", f"--port={self.port}"]
        command += ["--timeout-graceful-shutdown=5"]
        process = Process(command, self.env | env, self.log("web"))
        self.parts.push(process)
        process.wait_for("Uvicorn running on")
        return process

    def start_worker(self, **env: str) -> Process:
        command = [str(BIN / "celery"), "-A", "project", "worker", "--concurrency=1"]
        process = Process(command, self.env | env, self.log("worker"))
        self.parts.push(process)
        process.wait_for(" ready.")
        return process

    def visitor(self) -> "Visitor":
        visitor = Visitor(self.url)
        self.parts.callback(visitor.http.close)
        return visitor

    def receipts(self) -> list[Path]:
        return sorted((self.directory / "receipts").glob("*.txt"))


class Visitor:
    """A browser without JavaScript: it gets the home page and sends its forms."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, timeout=60)

    def fresh_form(self) -> dict[str, str]:
        """Return the hidden fields of a new order form."""
        page = self.http.get("/", headers={"Accept": "text/html"}).text
        names = ("csrfmiddlewaretoken", "token")
        found = {name: re.search(rf'name="{name}" value="([^"]+)"', page) for name in names}
        return {name: match[1] for name, match in found.items() if match}

    def send(self, path: str, **fields: Any) -> httpx.Response:
        return self.http.post(path, data=fields)

    def order(self, **fields: Any) -> str:
        """Order, as VISITOR unless told otherwise; return the order page's path."""
        response = self.send("/orders/", **self.fresh_form(), **{**VISITOR, **fields})
        assert response.status_code == 302, response.text
        return response.headers["Location"]

    def tasks(self, order_path: str) -> dict[str, Any]:
        """Return the states of an order's side effects, as its stream first tells them."""
        return next(self.events(order_path))["tasks"]

    def events(self, path: str, **headers: str) -> Iterator[Any]:
        """Yield what a stream tells until it ends."""
        with self.http.stream("GET", urljoin(path, "events/"), headers=headers) as response:
            assert response.status_code == 200, response.status_code
            for line in response.iter_lines():
                if line == "event: end":
                    return
                if line.startswith("data: "):
                    yield json.loads(line.removeprefix("data: "))
