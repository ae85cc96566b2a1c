"""Bodies that are too long or too slow, at a real uvicorn."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from tests.browser.test_pages import database
from tests.conftest import StartWeb
from tests.processes import PATIENCE, Process

LIMIT = 1024 * 1024
SLOWEST = 2  # seconds


@pytest.fixture
def web(start_web: StartWeb, tmp_path: Path) -> tuple[str, Process]:
    return start_web(BODY_TIMEOUT=str(SLOWEST), **database(tmp_path))


def connect(url: str) -> socket.socket:
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    connection = socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE)
    connection.settimeout(PATIENCE)
    return connection


def head(*headers: str, path: str = "/") -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode()


def answer(connection: socket.socket) -> str:
    """Return all that comes until the server hangs up."""
    received = b""
    try:
        while part := connection.recv(65536):
            received += part
    except ConnectionResetError:  # what we sent last found nobody
        pass
    return received.decode()


def parts(count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield b"x" * 65536


def test_a_declared_length_is_refused_before_the_body_is_sent(web: tuple[str, Process]) -> None:
    with connect(web[0]) as connection:
        connection.sendall(head(f"Content-Length: {299 * LIMIT}"))
        received = answer(connection)
    assert received.startswith("HTTP/1.1 413 ")
    assert "connection: close" in received.lower()
    assert "at most 1,048,576 bytes" in received


@pytest.mark.parametrize("path", ["/", "/orders/", "/admin/login/", "/nowhere/", "/static/none"])
def test_a_chunked_body_is_counted(web: tuple[str, Process], path: str) -> None:
    """It is read no further than the limit, not even for a view that would refuse it anyway."""
    url, process = web
    counted = psutil.Process(process.pid)
    before = counted.memory_info().rss
    with connect(url) as connection:
        connection.sendall(head("Transfer-Encoding: chunked", path=path))
        sent = 0
        try:
            for part in parts(299 * 16):
                connection.sendall(f"{len(part):x}\r\n".encode() + part + b"\r\n")
                sent += len(part)
        except (BrokenPipeError, ConnectionResetError):
            pass
        else:
            pytest.fail("all of it was read")
    assert counted.memory_info().rss - before < 30 * LIMIT
    spooled = [file.path for file in counted.open_files() if "(deleted)" in file.path]
    assert spooled == []
    process.wait_for('" 413')
    assert httpx.get(url).status_code == 200


def test_who_sends_too_much_sees_the_answer(web: tuple[str, Process]) -> None:
    """Also one who, as browsers do, reads it only after all is sent."""
    body = b"x" * (4 * LIMIT)
    for content in (body, parts(64)):
        response = httpx.post(web[0], content=content, timeout=PATIENCE)
        assert response.status_code == 413
        assert response.headers["Content-Type"] == "text/plain; charset=utf-8"


def test_the_limit_itself_is_allowed(web: tuple[str, Process]) -> None:
    assert httpx.post(web[0], content=b"x" * LIMIT).status_code == 403  # without a token
    assert httpx.post(web[0], content=b"x" * (LIMIT + 1)).status_code == 413


def test_more_than_was_declared_is_no_part_of_the_request(web: tuple[str, Process]) -> None:
    url, _ = web
    with connect(url) as connection:
        connection.sendall(head("Content-Length: 3", "Connection: close") + b"abc" + b"x" * 999)
        assert answer(connection).startswith("HTTP/1.1 403 ")
    assert httpx.get(url).status_code == 200


@pytest.mark.parametrize("length", ["-1", "1e9", "0x10", "9" * 40])
def test_a_length_that_is_none_is_refused(web: tuple[str, Process], length: str) -> None:
    url, _ = web
    with connect(url) as connection:
        connection.sendall(head(f"Content-Length: {length}"))
        assert answer(connection).startswith(("HTTP/1.1 400 ", "HTTP/1.1 413 "))


def test_a_slow_body_is_given_up(web: tuple[str, Process]) -> None:
    """It always sends something: what counts is the time for all of it."""
    with connect(web[0]) as connection:
        began = time.monotonic()
        connection.sendall(head("Content-Length: 100000"))
        connection.settimeout(0.2)
        received = b""
        while not received and time.monotonic() - began < PATIENCE:
            connection.sendall(b"x")
            try:
                received = connection.recv(65536)
            except TimeoutError:
                continue
        assert time.monotonic() - began >= SLOWEST
    assert received.startswith(b"HTTP/1.1 408 ")


def test_a_half_open_connection_holds_up_nobody(web: tuple[str, Process]) -> None:
    """Those of half a body are ended; those of half a head cost the others nothing."""
    url, process = web
    half_bodies = [connect(url) for _ in range(100)]
    half_heads = [connect(url) for _ in range(100)]
    for connection in half_bodies:
        connection.sendall(head("Content-Length: 10") + b"half")
    for connection in half_heads:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: local")
    assert httpx.get(url, timeout=PATIENCE).status_code == 200
    for connection in half_bodies:
        assert answer(connection).startswith("HTTP/1.1 408 ")
        connection.close()
    process.wait_for('" 408', times=100)
    assert httpx.get(url).status_code == 200
    for connection in half_heads:
        connection.close()


def test_the_time_is_for_the_body_and_not_for_the_answer(
    start_web: StartWeb, tmp_path: Path
) -> None:
    url, _ = start_web(BODY_TIMEOUT="1", STEP_SECONDS="0.5", **database(tmp_path))
    response = httpx.get(f"{url}/sync/", timeout=PATIENCE)
    assert (response.status_code, response.text) == (200, "Blocking HTTP request")
